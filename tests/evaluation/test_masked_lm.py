"""The answers are those of the whole model, for any batch. Models whose answers are known score as they must."""

import math

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForPreTraining, BertConfig, BertModel

from japanese_bert.evaluation.masked_lm import MaskedLM, MaskedSequence
from tests.helpers.small_jglue import write_model
from tests.helpers.small_masked_lm import write_knowing_model, write_uniform_model

SEQUENCES = [
    MaskedSequence([2, 20, 21, 3], [0] * 4, [1]),
    MaskedSequence([2, 20, 21, 22, 3, 23, 24, 25, 26, 3], [0] * 5 + [1] * 5, [2, 5, 8]),
    MaskedSequence([2, 30, 31, 32, 3, 20, 3], [0] * 5 + [1] * 2, []),
    MaskedSequence([2, 40, 41, 3], [0] * 4, [1, 2]),
]


@pytest.mark.parametrize("tokens_at_once", [1, 20, 4096])
def test_answers_are_those_of_the_whole_model(tmp_path, wordpiece_vocab, tokens_at_once):
    directory = write_model(tmp_path / "model", wordpiece_vocab, "wordpiece")
    plain = AutoModelForPreTraining.from_pretrained(directory).eval()
    answers = list(MaskedLM(directory).answer(SEQUENCES, tokens_at_once))
    assert len(answers) == len(SEQUENCES)
    for (token_ids, types, hidden), answer in zip(SEQUENCES, answers, strict=True):
        masked = torch.tensor([[4 if place in hidden else index for place, index in enumerate(token_ids)]])
        with torch.no_grad():
            output = plain(input_ids=masked, token_type_ids=torch.tensor([types]))
        logits = output.prediction_logits[0].log_softmax(-1)
        expected = [-float(logits[place, token_ids[place]]) for place in hidden]
        assert np.allclose(answer.losses, expected, atol=1e-5)
        assert list(answer.is_correct) == [int(logits[place].argmax()) == token_ids[place] for place in hidden]
        assert answer.next_sentence == int(output.seq_relationship_logits.argmax())


def test_a_model_that_knows_the_tokens(tmp_path, wordpiece_vocab):
    sequence = SEQUENCES[1]
    [answer] = MaskedLM(write_knowing_model(tmp_path / "m", wordpiece_vocab, sequence.token_ids)).answer([sequence])
    assert answer.is_correct.all() and answer.losses.max() < 1e-6


def test_a_model_that_guesses(tmp_path, wordpiece_vocab):
    size = wordpiece_vocab.read_bytes().count(b"\n")
    [answer] = MaskedLM(write_uniform_model(tmp_path / "m", wordpiece_vocab)).answer([SEQUENCES[1]])
    assert np.allclose(answer.losses, math.log(size), rtol=1e-6)


def test_a_masked_lm_without_next_sentences(tmp_path, wordpiece_vocab):
    directory = write_model(tmp_path / "model", wordpiece_vocab, "wordpiece")
    expected = list(MaskedLM(directory).answer(SEQUENCES))
    AutoModelForMaskedLM.from_pretrained(directory).save_pretrained(directory)
    found = list(MaskedLM(directory).answer(SEQUENCES))
    assert [answer.next_sentence for answer in found] == [None] * len(SEQUENCES)
    for one, other in zip(expected, found, strict=True):
        assert np.allclose(one.losses, other.losses, atol=1e-6)


def test_a_model_without_a_head_is_refused(tmp_path, wordpiece_vocab):
    """Transformers would give it a random one."""
    directory = write_model(tmp_path / "model", wordpiece_vocab, "wordpiece")
    BertModel(BertConfig.from_pretrained(directory)).save_pretrained(directory)
    with pytest.raises(ValueError, match=r"has no weight cls\.predictions\..*Expected a masked LM"):
        MaskedLM(directory)
