"""Read the weights of a Hugging Face directory by the names of its class, with every head, and add new tokens.

Weights are in `model.safetensors` or `pytorch_model.bin`, in one file or in several with an index, in any float type.
Two things are left out: buffers of integers (`position_ids`), and the decoder of the masked language model, which must
be tied to the word embeddings.

New tokens stand at the end of the vocabulary. The old vocabulary cuts a new token into pieces, and the mean of their
rows becomes its row. So the model starts with a guess at its meaning. A token that the old vocabulary cannot spell gets
the mean of the rows of all real tokens.
"""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from japanese_bert.common.json_files import read_json_object
from japanese_bert.models.config import BertConfig, architectures_of
from japanese_bert.models.training_history import HF_WEIGHT_FILES
from japanese_bert.models.weight_names import is_next_sentence, weights_of
from japanese_bert.tokenization.subwords import encode_wordpieces
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, UNK, Vocab

OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}  # of models before 2020
# The words of a masked language model head and their bias: weights with two names. The trainer's model has one of each.
TIED_NAMES = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
    "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
    "predictions.decoder.bias": "predictions.bias",
    "generator_lm_head.weight": "electra.embeddings.word_embeddings.weight",
}
TOKEN_ROWS = {*TIED_NAMES.values(), "generator_lm_head.bias"}  # they have one row for each token
HUB_CACHE = re.compile(r"/models--([\w.-]+?)--([\w.-]+)/snapshots/")  # where huggingface_hub keeps downloads
PREFIX = "##"

Weights = dict[str, np.ndarray]


def weight_files(directory: Path) -> list[Path]:
    """Return the files with weights, or raise FileNotFoundError."""
    for name in HF_WEIGHT_FILES:
        if (directory / name).is_file():
            return [directory / name]
        index = directory / f"{name}.index.json"
        if index.is_file():
            parts = read_json_object(index).get("weight_map")
            if not isinstance(parts, dict) or not all(isinstance(part, str) for part in parts.values()):
                raise ValueError(f"{index}: weight_map is {parts!s:.60}, expected names of weights and their files")
            if outside := next((part for part in parts.values() if Path(part).name != part), None):
                raise ValueError(f"{index}: weight_map names {outside}, expected files of this directory")
            return [directory / part for part in sorted(set(parts.values()))]
    raise FileNotFoundError(
        f"{directory}: no model.safetensors or pytorch_model.bin. Download the model with: hf download NAME "
        f"--local-dir {directory}"
    )


def find_model_name(directory: Path) -> str:
    """Return the name of a model on the Hub if its files show it, or else the name of its directory."""
    cached = HUB_CACHE.search(f"{directory.absolute()}/")
    if cached:
        return "/".join(cached.groups())
    name = os.path.basename(os.path.abspath(directory))
    recorded = str(read_json_object(directory / "config.json").get("_name_or_path"))
    # Transformers 4 recorded what the model was loaded from. After fine-tuning that is another model.
    return recorded if re.fullmatch(rf"[\w.-]+/{re.escape(name)}", recorded) else name


def read_hf_weights(directory: Path, config: BertConfig) -> Weights:
    """Return the weights. A model without next sentence head lacks those of that head.

    Raises:
        ValueError: a weight is missing, is unexpected, or has another shape than `config.json` says.
    """
    weights: Weights = {}
    for path in weight_files(directory):
        weights |= {_modern_name(name): array for name, array in _read_file(path).items()}
    _check_tied(directory, weights)
    weights = {name: array for name, array in weights.items() if name not in TIED_NAMES}
    _check_names_and_shapes(directory, weights, config)
    return weights


def missing_next_sentence(weights: Weights, config: BertConfig) -> list[str]:
    """Return the names of the weights of pooler and next sentence output that the model was saved without."""
    names = [row.hf_name for row in weights_of(config) if is_next_sentence(row.tf_name)]
    return [name for name in names if name not in weights]


def complete_next_sentence(weights: Weights, config: BertConfig, rng: np.random.Generator) -> Weights:
    """Return the weights of every head. If the next sentence head is missing, print a note and add a new one."""
    missing = missing_next_sentence(weights, config)
    if missing:
        print(f"NOTE no weight {missing[0]}: the next sentence head is new, random", file=sys.stderr)
    return weights | new_next_sentence(missing, config, rng)


def new_next_sentence(names: list[str], config: BertConfig, rng: np.random.Generator) -> Weights:
    """Return new weights of these names: random kernels (normal, `initializer_range`) and zero biases."""
    shapes = {row.hf_name: row.hf_shape(config) for row in weights_of(config)}
    return {
        name: np.zeros(shapes[name], np.float32)
        if name.endswith(".bias")
        else rng.normal(scale=config.initializer_range, size=shapes[name]).astype(np.float32)
        for name in names
    }


def new_tokens(vocab: Vocab, candidates: Iterable[str]) -> list[str]:
    """Return the candidates that the vocabulary lacks, in their order. Special and blank ones are left out."""
    return [
        token
        for token in dict.fromkeys(candidates)
        if token not in vocab.ids
        and token not in SPECIAL_TOKENS
        and not token.startswith("[unused")
        and token.removeprefix(PREFIX).strip()
    ]


def pieces_of(token: str, vocab: Vocab) -> list[int]:
    """Return the ids of the pieces of a token, or none if the vocabulary cannot spell it.

    >>> pieces_of("##都民", Vocab(("[UNK]", "##都", "##民"), {"[UNK]": 0, "##都": 1, "##民": 2}))
    [1, 2]
    """
    pieces = encode_wordpieces(token, vocab.text_ids() | {UNK: vocab.ids[UNK]}, PREFIX)
    is_inside = token.startswith(PREFIX)
    is_spelt = vocab.ids[UNK] not in pieces and (not is_inside or len(vocab.tokens[pieces[0]]) > len(PREFIX))
    return pieces if is_spelt else []  # a first piece "#" or "##" is the sign itself, not the prefix of a piece


def add_rows(weights: Weights, vocab: Vocab, tokens: Sequence[str]) -> Weights:
    """Return the weights with one more row for each token. All other rows stay as they are."""
    average = vocab.real_token_ids()
    pieces = [pieces_of(token, vocab) or average for token in tokens]
    added = {}
    for name in weights.keys() & TOKEN_ROWS:
        table = weights[name]
        rows = [table[ids].mean(axis=0, dtype=np.float64) for ids in pieces]
        added[name] = np.concatenate([table, np.array(rows, table.dtype).reshape(-1, *table.shape[1:])])
    return weights | added


def _read_file(path: Path) -> Weights:
    """Return the float tensors of a file as float32. float16 and bfloat16 lose nothing."""
    import pickle
    import warnings

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about files that are then refused
                tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"{path}: cannot be read{_kind_of_text(path)}. Was it cut short? {reason}") from None
    if not isinstance(tensors, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise ValueError(f"{path}: is no table of tensors. Expected the weights that save_pretrained() writes")
    return {str(name): tensor.float().numpy() for name, tensor in tensors.items() if tensor.is_floating_point()}


def _kind_of_text(path: Path) -> str:
    """Return what a file is that should hold weights, if it is one of two texts that downloads leave in their place."""
    with open(path, "rb") as file:
        head = file.read(64).lstrip()
    if head.startswith(b"version https://git-lfs"):
        return ": it is a pointer of git-lfs. Run git lfs pull, or download the file itself"
    return ": it is a web page. Download the file itself" if head.startswith(b"<") else ""


def _modern_name(name: str) -> str:
    for old, new in OLD_NAMES.items():
        name = name.replace(old, new)
    return name


def _check_tied(directory: Path, weights: Weights) -> None:
    """Raise ValueError if the decoder has weights of its own. The trainer's model has no place for them."""
    for name in weights.keys() & TIED_NAMES.keys():
        if not np.array_equal(weights[name], weights.setdefault(TIED_NAMES[name], weights[name])):
            raise ValueError(f"{directory}: {name} is not tied to {TIED_NAMES[name]}. The trainer's model ties them")


def _check_names_and_shapes(directory: Path, weights: Weights, config: BertConfig) -> None:
    shapes = {row.hf_name: row.hf_shape(config) for row in weights_of(config)}
    optional = {row.hf_name for row in weights_of(config) if is_next_sentence(row.tf_name)}
    missing = [name for name in shapes if name not in weights and name not in optional]
    problems = [f"no weight {name}" for name in missing]
    problems += [f"unexpected weight {name}" for name in weights if name not in shapes]
    problems += [
        f"{name} has shape {array.shape}, expected {shapes[name]}"
        for name, array in weights.items()
        if name in shapes and array.shape != shapes[name]
    ]
    if problems:
        more = f" and {len(problems) - 1} more such" if len(problems) > 1 else ""
        is_electra = config.model_type == "electra"
        names = [config.architecture] if is_electra else architectures_of(config.model_type)
        raise ValueError(
            f"{directory}: {problems[0]}{more}. Expected a model with its heads, as "
            f"{' or '.join(names)} save it, and its config.json"
        )
