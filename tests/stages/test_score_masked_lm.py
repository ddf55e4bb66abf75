import json
import subprocess
import sys

from tests.helpers.small_jglue import write_model
from tests.helpers.small_masked_lm import write_uniform_model
from tools.score_masked_lm import sample_sentences


def run(*arguments):
    command = [sys.executable, "-m", "tools.score_masked_lm", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8")


def test_models_of_two_vocabularies_get_the_same_sentences(tmp_path, small_corpus, wordpiece_vocab, character_vocab):
    models = [
        write_model(tmp_path / "words", wordpiece_vocab, "wordpiece"),
        write_uniform_model(tmp_path / "characters", character_vocab, "character"),
    ]
    with open(small_corpus, "a", encoding="utf-8") as file:
        file.write(f"{'長い' * 100}\n")  # the second model takes 128 tokens
    flags = ["--model", *models, "--input_file", small_corpus]
    process = run(*flags)
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout.split("\n")[-2])
    lines = [line for line in small_corpus.read_text(encoding="utf-8").split("\n") if line]
    assert found["sentences"] == len(lines) - 1
    assert "left out as too long or with special tokens: 1" in process.stdout
    words, characters = (found["models"][str(model)] for model in models)
    assert words["characters"] == characters["characters"] == sum(map(len, lines[:-1]))
    assert words["tokens"] < characters["tokens"]
    assert "words" in process.stderr and "step" in process.stderr


def test_a_seed_has_its_sample(small_corpus):
    samples = [sample_sentences([str(small_corpus)], 20, random_seed) for random_seed in (1, 1, 2)]
    assert samples[0] == samples[1] != samples[2]
    lines = small_corpus.read_text(encoding="utf-8").split("\n")
    assert len(set(samples[0])) == 20 and set(samples[0]) <= set(lines)
    assert sample_sentences([str(small_corpus)], 1000, 1) == [line for line in lines if line]


def test_bad_input_is_one_line(tmp_path, small_corpus, wordpiece_vocab):
    model = write_uniform_model(tmp_path / "model", wordpiece_vocab)
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    for flags, message in [
        (("--model", model, "--input_file", empty), "empty.txt: no sentence to score"),
        (("--model", tmp_path / "none", "--input_file", small_corpus), "none/config.json: no such file"),
        (
            ("--model", model, "--input_file", small_corpus, "--num_sentences", 0),
            "--num_sentences 0: expected a positive",
        ),
    ]:
        process = run(*flags)
        assert process.returncode == 1
        assert message in process.stderr and process.stderr.count("\n") == 1, process.stderr
