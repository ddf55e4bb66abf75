"""Small configurations, random weights, runs of the converter and their results, for the tests of conversion."""

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import convert_tf2_checkpoint_to_all_frameworks as convert
from japanese_bert.common import command_line
from japanese_bert.models.config import BertConfig
from japanese_bert.models.weight_names import weights_of

# No two sizes are equal, so that no two axes can be mixed up unseen.
BERT = BertConfig(
    vocab_size=50,
    hidden_size=12,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=20,
    max_position_embeddings=16,
    type_vocab_size=2,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
    initializer_range=0.02,
)

ALBERT = dataclasses.replace(BERT, architecture="AlbertForPreTraining", embedding_size=8)
DISCRIMINATOR = dataclasses.replace(BERT, architecture="ElectraForPreTraining", embedding_size=8)
# Sizes of their own again.
GENERATOR_SIZES = {"hidden_size": 18, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 28}
CONFIGS = {
    "bert": dataclasses.replace(BERT, architecture="BertForMaskedLM"),
    "albert": ALBERT,
    "albert_masked_lm": dataclasses.replace(ALBERT, architecture="AlbertForMaskedLM"),
    "discriminator": DISCRIMINATOR,
    "generator": dataclasses.replace(DISCRIMINATOR, architecture="ElectraForMaskedLM", **GENERATOR_SIZES),
}


def random_weights(config: BertConfig) -> dict[str, np.ndarray]:
    """Return weights by the names and shapes of PyTorch's class."""
    rng = np.random.default_rng(0)
    return {row.hf_name: rng.normal(size=row.hf_shape(config)).astype(np.float32) for row in weights_of(config)}


def run(checkpoint: Path, output: Path, *flags: str, config: Path | None = None) -> None:
    """Run the converter. A flag --verify asks for the proof, which takes seconds."""
    config = config or checkpoint.parent / "config.json"
    required = ["--tf_checkpoint_path", checkpoint, "--tf_config_file", config, "--output_path", output, "--no-verify"]
    command_line.run_stage(convert.get_parser(), convert.main, [str(value) for value in [*required, *flags]])


def assert_refused(capsys, message: str, checkpoint: Path, output: Path, *flags: str, config: Path | None = None):
    """Assert that the stage ends with exit code 1 and one line, and leaves no trace of the output."""
    before = sorted(output.parent.iterdir())
    with pytest.raises(SystemExit) as error:
        run(checkpoint, output, *flags, config=config)
    lines = capsys.readouterr().err.splitlines()
    assert error.value.code == 1
    assert len(lines) == 1, lines
    assert message in lines[0]
    assert sorted(output.parent.iterdir()) == before


def read_safetensors(directory: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(directory / "model.safetensors")


def write_tfrecord(path: Path, config: BertConfig) -> Path:
    """Write random instances of every length from 5 tokens, by TensorFlow."""
    import tensorflow as tf

    rng = np.random.default_rng(1)
    with tf.io.TFRecordWriter(str(path), options="GZIP") as writer:
        for length in range(5, config.max_position_embeddings + 1):
            writer.write(random_example(rng, config, length).SerializeToString())
    return path


def random_example(rng, config: BertConfig, length: int):
    from tensorflow.train import Example, Feature, Features, FloatList, Int64List

    def padded(values, size):
        return Feature(int64_list=Int64List(value=[*values, *[0] * (size - len(values))]))

    seq_length = config.max_position_embeddings
    features = {
        "input_word_ids": padded(rng.integers(5, config.vocab_size, length), seq_length),
        "input_mask": padded([1] * length, seq_length),
        "input_type_ids": padded([0] * 3 + [1] * (length - 3), seq_length),
        "masked_lm_positions": padded(rng.choice(length, 2, replace=False), 3),
        "masked_lm_ids": padded(rng.integers(5, config.vocab_size, 2), 3),
        "masked_lm_weights": Feature(float_list=FloatList(value=[1.0, 1.0, 0.0])),
        "next_sentence_labels": padded([1], 1),
    }
    return Example(features=Features(feature=features))


def use(python: Path | str, directory: Path) -> tuple[dict, dict[str, str]]:
    """Return the findings of `use_model_directory.py`, and the text on stderr by class."""
    script = Path(__file__).with_name("use_model_directory.py")
    process = subprocess.run([python, script, directory], capture_output=True, encoding="utf-8")
    assert process.returncode == 0, process.stderr
    parts = process.stderr.split("=== ")[1:]
    return json.loads(process.stdout.strip().split("\n")[-1]), dict(part.split("\n", 1) for part in parts)


def assert_keras_file_holds(directory: Path, weights: dict[str, np.ndarray]) -> None:
    """Read the file as transformers 4 did, by the names in the attributes of the layers. `weights` have these names."""
    import h5py

    found = {}
    with h5py.File(directory / "tf_model.h5") as file:
        for layer in file.attrs["layer_names"]:
            for name in file[layer].attrs["weight_names"]:
                found[name] = file[layer][name][()]
    assert sorted(found) == sorted(weights)
    for name, array in weights.items():
        assert np.array_equal(found[name], array.T if name.endswith("/kernel:0") else array), name


def assert_flax_file_holds(directory: Path, weights: dict[tuple[str, ...], np.ndarray]) -> None:
    """Compare the file with `weights`, by their paths in the file."""
    from flax.serialization import msgpack_restore
    from flax.traverse_util import flatten_dict

    found = flatten_dict(msgpack_restore((directory / "flax_model.msgpack").read_bytes()))
    assert sorted(found) == sorted(weights)
    for path, array in weights.items():
        assert np.array_equal(found[path], array.T if path[-1] == "kernel" else array), path
