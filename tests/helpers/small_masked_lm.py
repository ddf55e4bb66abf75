"""Models whose scores are known: one knows every token of one sequence, one gives every token the same probability."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.helpers.places import ROOT


def write_uniform_model(directory: Path, vocab: Path, subwords: str = "wordpiece") -> Path:
    """Write a model whose weights are all 0."""
    return _write_model(directory, vocab, [], subwords)


def write_knowing_model(directory: Path, vocab: Path, token_ids: Sequence[int], subwords: str = "wordpiece") -> Path:
    """Write a model without layers. At position n it predicts `token_ids[n]`: position embeddings are the answers."""
    return _write_model(directory, vocab, token_ids, subwords)


def _write_model(directory: Path, vocab: Path, token_ids: Sequence[int], subwords: str) -> Path:
    import torch
    from transformers import BertConfig, BertForPreTraining

    size = vocab.read_bytes().count(b"\n")
    model = BertForPreTraining(
        BertConfig(
            vocab_size=size,
            hidden_size=size,
            num_hidden_layers=0,
            num_attention_heads=1,
            intermediate_size=1,
            max_position_embeddings=128,
            hidden_act="relu",
        )
    )
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        if token_ids:
            embeddings, head = model.bert.embeddings, model.cls.predictions.transform
            answers = torch.eye(size) * 20
            answers[4] = 0  # [MASK]
            embeddings.word_embeddings.weight.copy_(answers)
            embeddings.position_embeddings.weight[: len(token_ids)] = answers[list(token_ids)]
            head.dense.weight.copy_(torch.eye(size))
            for norm in (embeddings.LayerNorm, head.LayerNorm):
                norm.weight.fill_(1)
    model.save_pretrained(directory)
    (directory / "vocab.txt").write_bytes(vocab.read_bytes())
    settings = json.loads((ROOT / f"hf_model_configs/bert_tiny_{subwords}/tokenizer_config.json").read_text())
    settings.pop("auto_map", None)
    (directory / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return directory
