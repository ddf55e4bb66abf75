"""The score equals a plain implementation on real text. A model that knows all scores 1."""

import math

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from japanese_bert.evaluation.masked_lm import MaskedLM
from japanese_bert.evaluation.pseudo_perplexity import find_sequences, score_sentences
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, vocab_bytes
from tests.helpers.small_jglue import write_model
from tests.helpers.small_masked_lm import write_knowing_model, write_uniform_model

SENTENCE = "東京の天気について調べた。"


def score(directory, sentences, tokens_at_once=4096):
    model = MaskedLM(directory)
    done = []
    found = score_sentences(model, sentences, find_sequences(model, sentences), tokens_at_once, done.append)
    assert done[-1] == len(sentences)
    return found.results()


def test_a_model_that_knows_the_sentence_scores_1(tmp_path, wordpiece_vocab):
    directory = write_uniform_model(tmp_path / "model", wordpiece_vocab)
    token_ids = AutoTokenizer.from_pretrained(directory)(SENTENCE)["input_ids"]
    found = score(write_knowing_model(directory, wordpiece_vocab, token_ids), [SENTENCE])
    assert found["pseudo_perplexity"] == pytest.approx(1, abs=1e-6)
    assert found["pseudo_perplexity_of_characters"] == pytest.approx(1, abs=1e-6)
    assert found["accuracy"] == 1 and found["tokens"] == len(token_ids) - 2 and found["characters"] == len(SENTENCE)


def test_a_model_that_guesses_scores_the_size_of_its_vocabulary(tmp_path, wordpiece_vocab):
    size = wordpiece_vocab.read_bytes().count(b"\n")
    found = score(write_uniform_model(tmp_path / "model", wordpiece_vocab), [SENTENCE, "猫 が 好きだ。"])
    assert found["pseudo_perplexity"] == pytest.approx(size, rel=1e-5)
    assert found["characters"] == len(SENTENCE) + 6
    expected = math.log(size) * found["tokens"] / found["characters"]
    assert math.log(found["pseudo_perplexity_of_characters"]) == pytest.approx(expected, rel=1e-5)


def test_equals_a_plain_implementation_on_real_sentences(tmp_path, aozora_bytes):
    text = aozora_bytes.decode("utf-8")
    sentences = [line for line in text[200_000:300_000].split("\n")[1:] if 0 < len(line) < 40][:200]
    characters = sorted(set("".join(sentences[:100])) - {"\u3000"})
    vocab = tmp_path / "vocab.txt"
    vocab.write_bytes(vocab_bytes([*SPECIAL_TOKENS, *characters, *(f"##{character}" for character in characters)]))
    directory = write_model(tmp_path / "model", vocab, "wordpiece")
    found = score(directory, sentences, 1000)
    losses, correct, unknown = plain_losses(directory, sentences)
    assert found["tokens"] == len(losses) > 3000
    assert found["pseudo_perplexity"] == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-5)
    characters = sum(len(sentence.replace("\u3000", "").replace(" ", "")) for sentence in sentences)
    assert found["pseudo_perplexity_of_characters"] == pytest.approx(math.exp(sum(losses) / characters), rel=1e-5)
    assert found["accuracy"] * len(losses) == pytest.approx(correct, abs=2)  # two logits may be as good as equal
    assert found["unknown_tokens"] == unknown


def plain_losses(directory, sentences):
    """Return the loss of each token, one sentence at a time, by the formula of the paper."""
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(directory).eval(), AutoTokenizer.from_pretrained(directory)
    losses, correct, unknown = [], 0, 0
    for sentence in sentences:
        ids = tokenizer(sentence, return_tensors="pt")["input_ids"][0]
        places = torch.arange(1, len(ids) - 1)
        masked = ids.repeat(len(places), 1)
        masked[places - 1, places] = tokenizer.mask_token_id
        with torch.no_grad():
            logits = model(input_ids=masked).logits[places - 1, places].double()
        for place, probabilities in zip(places, logits.softmax(-1), strict=True):
            losses.append(-math.log(float(probabilities[ids[place]])))
            correct += int(probabilities.argmax()) == int(ids[place])
            unknown += int(ids[place]) == tokenizer.unk_token_id
    return losses, correct, unknown


def test_sentences_that_no_model_can_be_asked(tmp_path, wordpiece_vocab):
    model = MaskedLM(write_uniform_model(tmp_path / "model", wordpiece_vocab))
    found = find_sequences(model, [SENTENCE, "猫" * 200, "[MASK]と猫", "猫"])
    assert [len(sequences) for sequences in found[1:]] == [0, 0, 1]
