"""Checkpoints of TensorFlow 1 under the names of Google's repositories, from models of Transformers.

The names are written here once more, as rules, so that a wrong name in `models/weight_names.py` is found.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from japanese_bert.models.config import BertConfig

# Names of Transformers -> names of google-research/bert, albert and electra. All that fit are applied, in this order.
RULES = {
    "bert": (
        (r"^cls\.predictions\.bias$", "cls/predictions/output_bias"),
        (r"^cls\.seq_relationship\.weight$", "cls/seq_relationship/output_weights"),
        (r"^cls\.seq_relationship\.bias$", "cls/seq_relationship/output_bias"),
        (r"\.layer\.(\d+)\.", r"/layer_\1/"),
    ),
    "albert": (
        (r"^predictions\.bias$", "cls/predictions/output_bias"),
        (r"^predictions\.", "cls/predictions/transform/"),
        (r"^sop_classifier\.classifier\.weight$", "cls/seq_relationship/output_weights"),
        (r"^sop_classifier\.classifier\.bias$", "cls/seq_relationship/output_bias"),
        (r"^albert\.pooler\.", "bert/pooler/dense."),
        (r"^albert\.", "bert/"),
        (r"albert_layer_groups\.0\.albert_layers\.0\.", "transformer/group_0/inner_group_0/"),
        (r"attention\.LayerNorm", "LayerNorm"),
        (r"full_layer_layer_norm", "LayerNorm_1"),
        (r"attention\.dense", "attention_1/output/dense"),
        (r"attention\.(query|key|value)", r"attention_1/self/\1"),
        (r"ffn_output", "ffn_1/intermediate/output/dense"),
        (r"ffn\.", "ffn_1/intermediate/dense."),
    ),
    "electra": (
        (r"dense_prediction", "dense_1"),
        (r"^generator_lm_head\.bias$", "generator_predictions/output_bias"),
        (r"\.layer\.(\d+)\.", r"/layer_\1/"),
    ),
}
LEAVES = (
    (r"_embeddings\.weight$", "_embeddings"),
    (r"LayerNorm(_1)?\.weight$", r"LayerNorm\1/gamma"),
    (r"LayerNorm(_1)?\.bias$", r"LayerNorm\1/beta"),
    (r"\.weight$", "/kernel"),
    (r"\.", "/"),
)
CONFIG_NAMES = {"bert": "bert_config.json", "albert": "albert_config.json"}


def make_model(config: BertConfig, seed: int = 0):
    """Return a model of Transformers with random weights, whose biases and norms are random too."""
    import torch
    import transformers

    torch.manual_seed(seed)
    kind = {"bert": "Bert", "albert": "Albert", "electra": "Electra"}[config.model_type]
    sizes = {name: value for name, value in json.loads(config.to_json()).items() if name != "tokenizer_class"}
    model = getattr(transformers, config.architecture)(getattr(transformers, f"{kind}Config")(**sizes))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def make_models(configs: Sequence[BertConfig]) -> list:
    """Return a model for each configuration. The networks of an ELECTRA share all embeddings, as Google's do."""
    models = [make_model(config, seed) for seed, config in enumerate(configs)]
    for model in models[1:]:
        model.electra.embeddings = models[0].electra.embeddings
        model.tie_weights()
    return models


def tf1_variables_of(models: Sequence) -> dict[str, np.ndarray]:
    """Return the weights of one model, or of an ELECTRA's discriminator and generator."""
    networks = ("electra", "generator")[: len(models)]
    return {
        name: a for m, network in zip(models, networks, strict=True) for name, a in tf1_variables(m, network).items()
    }


def tf1_variables(model, network: str = "electra") -> dict[str, np.ndarray]:
    """Return the weights of a model of Transformers by TF1's names. `network` is `generator` for that of an ELECTRA."""
    found = {}
    for hf_name, parameter in model.named_parameters():
        name = hf_name
        for pattern, replacement in (*RULES[model.config.model_type], *LEAVES):
            name = re.sub(pattern, replacement, name)
        if not name.startswith("electra/embeddings/"):
            name = re.sub("^electra/", f"{network}/", name)
        array = parameter.detach().numpy()
        found[name] = np.ascontiguousarray(array.T) if name.endswith("/kernel") else array
    return found


def write_tf1_checkpoint(variables: Mapping[str, np.ndarray], prefix: Path) -> Path:
    """Write a checkpoint by TensorFlow 1's saver, with the slots of an optimizer and a step."""
    import tensorflow.compat.v1 as tf1

    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tf1.Graph().as_default(), tf1.Session() as session:
        some = next(name for name in variables if name.endswith("/kernel"))
        slots = {f"{some}/{slot}": variables[some] * 0 for slot in ("adam_m", "adam_v")}
        everything = {**variables, **slots, "global_step": np.int64(1000000)}
        made = [tf1.get_variable(name, initializer=array, use_resource=False) for name, array in everything.items()]
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver(made).save(session, str(prefix), write_state=False)
    return prefix


def write_google_archive(config: BertConfig, directory: Path, seed: int = 0):
    """Write what Google released of a BERT or ALBERT: `bert_model.ckpt` and its configuration. Return the model."""
    model = make_model(config, seed)
    write_tf1_checkpoint(tf1_variables(model), directory / "bert_model.ckpt")
    names = ("architectures", "layer_norm_eps", "model_type", "pad_token_id", "tokenizer_class")
    values = {name: value for name, value in json.loads(config.to_json()).items() if name not in names}
    values |= {"hidden_act": "gelu"}
    (directory / CONFIG_NAMES[config.model_type]).write_text(json.dumps(values), encoding="utf-8")
    return model


def convert_by_model_garden(kind: str, source: Path, target: Path) -> Path:
    """Run Model Garden's own converter. Its output, of the encoder alone, is the archive that it offers."""
    target.mkdir(parents=True)
    module = f"official.nlp.tools.tf2_{kind}_encoder_checkpoint_converter"
    flags = [f"--{kind}_config_file={source / CONFIG_NAMES[kind]}", f"--checkpoint_to_convert={source}/bert_model.ckpt"]
    command = [sys.executable, "-W", "ignore", "-m", module, *flags, f"--converted_checkpoint_path={target}/made"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    for path in target.glob("made-1.*"):
        path.rename(path.with_name(path.name.replace("made-1", "bert_model.ckpt")))
    (target / "checkpoint").unlink()
    return target / "bert_model.ckpt"
