"""The model: Model Garden's random weights, the sums of its losses, and names that Transformers loads."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import BertForMaskedLM, BertForPreTraining

from japanese_bert.conversion.hf_writing import PYTORCH_FILE, write_safetensors
from japanese_bert.models.weight_names import weights_of
from japanese_bert.torch_training.model import Sums, load_weights, make_model, weights_to_save, with_counts
from japanese_bert.torch_training.parameters import Head, Model
from tests.helpers.small_pretraining import make_config

HEADS = Model(cls_heads=(Head(inner_dim=24, dropout_rate=0.1, name="next_sentence"),))


def make_batch() -> dict[str, torch.Tensor]:
    """Return two sequences of five and three tokens, with three predictions."""
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    return {
        "input_ids": torch.tensor([[2, 7, 4, 9, 3], [2, 4, 3, 0, 0]]),
        "token_type_ids": torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]),
        "attention_mask": mask,
        "masked_positions": torch.tensor([2, 3, 6]),
        "masked_lm_labels": torch.tensor([8, 9, 12]),
        "next_sentence_labels": torch.tensor([1, 0]),
    }


@pytest.mark.parametrize(
    ("architecture", "loader"), [("BertForPreTraining", BertForPreTraining), ("BertForMaskedLM", BertForMaskedLM)]
)
def test_sums_are_those_of_transformers(tmp_path, architecture, loader):
    config = make_config(40, architecture=architecture)
    torch.manual_seed(1)
    model = make_model(config, HEADS).eval()
    assert weights_to_save(model).keys() == {row.hf_name for row in weights_of(config)}
    write_safetensors(weights_to_save(model), tmp_path / PYTORCH_FILE)
    (tmp_path / "config.json").write_text(config.to_json(), encoding="utf-8")
    theirs, info = loader.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    batch = make_batch()
    if architecture == "BertForMaskedLM":
        del batch["next_sentence_labels"]
    with torch.no_grad():
        sums = with_counts(model(**batch), [batch])
        outputs = theirs.eval()(**{name: batch[name] for name in ("input_ids", "token_type_ids", "attention_mask")})
    logits = outputs[0].flatten(0, 1)[batch["masked_positions"]]
    expected = functional.cross_entropy(logits, batch["masked_lm_labels"], reduction="sum")
    torch.testing.assert_close(sums[Sums.LM_LOSS], expected)
    assert sums[Sums.PREDICTIONS] == 3 and sums[Sums.SEQUENCES] == 2
    assert sums[Sums.LM_CORRECT] == (logits.argmax(-1) == batch["masked_lm_labels"]).sum()
    if architecture == "BertForPreTraining":
        expected = functional.cross_entropy(outputs[1], batch["next_sentence_labels"], reduction="sum")
        torch.testing.assert_close(sums[Sums.NEXT_SENTENCE_LOSS], expected)
    else:
        assert sums[Sums.NEXT_SENTENCE_LOSS] == 0


def test_padding_changes_nothing():
    model = make_model(make_config(40), HEADS).eval()
    batch = make_batch()
    longer = {name: functional.pad(batch[name], (0, 3)) for name in ("input_ids", "token_type_ids", "attention_mask")}
    longer["masked_positions"] = torch.tensor([2, 3, 9])
    with torch.no_grad():
        torch.testing.assert_close(model(**{**batch, **longer}), model(**batch))


def test_dropout_of_the_next_sentence_head():
    model = make_model(make_config(40, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), HEADS).train()
    losses = {float(model(**make_batch())[Sums.NEXT_SENTENCE_LOSS].detach()) for _ in range(5)}
    assert len(losses) > 1
    model.eval()
    assert len({float(model(**make_batch())[Sums.NEXT_SENTENCE_LOSS].detach()) for _ in range(5)}) == 1


def test_random_weights_are_cut_at_two_standard_deviations():
    torch.manual_seed(1)
    weights = weights_to_save(make_model(make_config(2000), HEADS))
    table = weights["bert.embeddings.word_embeddings.weight"]
    assert np.abs(table).max() <= 0.04 and table[0].any()  # [PAD] too
    assert abs(table.std() / (0.02 * 0.8796) - 1) < 0.02
    limit = np.sqrt(6 / (24 + 24))  # Glorot
    assert limit / 2 < np.abs(weights["bert.pooler.dense.weight"]).max() <= limit


def test_a_missing_weight_is_named():
    model = make_model(make_config(40), HEADS)
    weights = weights_to_save(model)
    del weights["bert.pooler.dense.weight"]
    with pytest.raises(ValueError, match=r"^no weight bert\.pooler\.dense\.weight"):
        load_weights(model, weights)
