"""The model card: `README.md` of a model directory, as the Hugging Face Hub shows it. Its text is in model_card.md.

It is filled from configurations and `<output>.json` files. What they do not contain is marked `(not recorded)`, for the
user to complete. A card that the user changed is never replaced. The card is made to be published: no path is in it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from japanese_bert.common.provenance import Provenance, read_provenance
from japanese_bert.common.report import markdown_text
from japanese_bert.conversion.frameworks import GENERATOR, ONNX_FILE
from japanese_bert.conversion.onnx_export import output_names
from japanese_bert.conversion.trained_model import TrainedModel
from japanese_bert.models.config import ARCHITECTURES, BertConfig
from japanese_bert.models.training_history import BaseModel, Corpus, TrainingStage
from japanese_bert.models.weight_names import weights_of
from japanese_bert.tokenization.identity import describe_dictionary
from japanese_bert.tokenization.tokenizer_directory import FAST_TOKENIZER_FILE, TokenizerSettings

CARD_FILE = "README.md"
DEFAULT_LICENSE = "apache-2.0"  # of a model that was trained from random weights
HUB = "https://huggingface.co"
TEMPLATE = Path(__file__).with_name("model_card.md")
UNKNOWN = "(not recorded)"
HUB_DATASETS = {"cc-100": "cc100", "wikipedia": "wikipedia"}  # directory of a corpus -> data set on the Hub
EXAMPLE = "東北大学で[MASK]の研究をしています。"
NEXT_SENTENCE_HEADS = {
    "BertForPreTraining": "`bert.pooler`, `cls.seq_relationship`",
    "AlbertForPreTraining": "`albert.pooler`, `sop_classifier`",
}

CardValues = dict[str, Any]  # what the template shows, as JSON can store it


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Everything that a card is made of."""

    name: str
    license: str | None
    base: BaseModel | None
    config: BertConfig
    settings: TokenizerSettings | None
    dictionary: Mapping[str, object] | None
    vocab_made_by: Mapping[str, Any] | None
    stages: list[TrainingStage]
    files: list[str]


def values_of_model(model: TrainedModel, name: str, licence: str | None, files: list[str]) -> CardValues:
    """Return the values of a model's card. A model that started from another one has no licence by default."""
    if not licence and model.base:
        licence = model.base.license
    elif not licence and not (model.stages and model.stages[0].initial_checkpoint()):
        licence = DEFAULT_LICENSE
    facts = CardFacts(
        name=name,
        license=licence,
        base=model.base,
        config=model.config,
        settings=model.settings,
        dictionary=model.tokenization.dictionary,
        vocab_made_by=model.vocab_made_by,
        stages=model.stages,
        files=files,
    )
    return card_values(facts)


def card_values(facts: CardFacts) -> CardValues:
    """Return the values for the template. Text that came from outside is one line and cannot end a code span."""
    config, architecture = facts.config, ARCHITECTURES[facts.config.architecture]
    corpora = {corpus.name: corpus for stage in facts.stages for corpus in stage.corpora()}
    vocab_counts = (facts.vocab_made_by or {}).get("counts", {})
    return {
        "name": markdown_text(facts.name),
        "quoted_name": json.dumps(facts.name, ensure_ascii=False),
        "license_name": facts.license and _one_line(facts.license),
        **({"base": _base_values(facts.base)} if facts.base else {}),  # no key, so that other hashes stay the same
        "config": {**asdict(config), "model_type": config.model_type},
        "kind": architecture.kind,
        "fills_masks": architecture.predicts_tokens,
        "has_next_sentence": architecture.has_next_sentence,
        "next_sentence_weights": NEXT_SENTENCE_HEADS.get(config.architecture),
        "is_generator": config.architecture == GENERATOR,
        "parameters": sum(prod(row.hf_shape(config)) for row in weights_of(config)),
        "masks_whole_words": bool(facts.stages) and all(stage.method("do_whole_word_mask") for stage in facts.stages),
        "datasets": [HUB_DATASETS[name] for name in corpora if name in HUB_DATASETS],
        "corpora": [_corpus_values(corpus) for corpus in corpora.values()],
        "settings": facts.settings and asdict(facts.settings),
        "dictionary": _dictionary_name(facts),
        "vocab_counts": vocab_counts if {"sentences", "alphabet"} <= vocab_counts.keys() else None,
        "stages": [_stage_values(stage, number) for number, stage in enumerate(facts.stages)],
        "fast_tokenizer": FAST_TOKENIZER_FILE if FAST_TOKENIZER_FILE in facts.files else None,
        "onnx_outputs": output_names(config.architecture) if ONNX_FILE in facts.files else None,
    }


def fill_template(values: CardValues) -> str:
    """Return the text of the card."""
    from huggingface_hub import ModelCard, ModelCardData

    fills_masks = values["fills_masks"]
    metadata = ModelCardData(
        language=["ja"],
        license=values["license_name"],
        base_model=values["base"]["name"] if "base" in values else None,
        library_name="transformers",
        pipeline_tag="fill-mask" if fills_masks else None,
        mask_token="[MASK]" if fills_masks else None,
        tags=[values["config"]["model_type"], *(["onnx"] if values["onnx_outputs"] else [])],
        datasets=values["datasets"] or None,
        widget=[{"text": EXAMPLE}] if fills_masks else None,
    )
    constants = {"unknown": UNKNOWN, "example": EXAMPLE, "onnx_file": ONNX_FILE}
    return f"{ModelCard.from_template(metadata, template_path=str(TEMPLATE), **constants, **values)}\n"


def values_hash(values: CardValues) -> str:
    """Return what stands for the card in a recipe. It depends on facts and not on the wording of the template."""
    return sha256_of(json.dumps(values, ensure_ascii=False, sort_keys=True, default=str).encode("utf-8"))


def as_recorded(provenance: Provenance, output: Path, values: CardValues | None) -> Provenance:
    """Return the provenance to compare with an existing output.

    Version 0.1 put the hash of the card's text into the recipe, and the wording has changed since. An output of that
    version is complete if the rest of its recipe and its licence are the same. Later outputs have the hash of facts.
    Before base models were recorded they were no facts, and every model had a default licence.
    """
    made_by = read_provenance(output) or {}
    recorded = made_by.get("method", {}).get("model_card")
    licence = provenance.arguments["license"] or DEFAULT_LICENSE
    if "card_sha256" in made_by:
        earlier = {name: value for name, value in (values or {}).items() if name != "base"}
        is_same = recorded == values_hash({**earlier, "license_name": _one_line(str(licence))})
    else:
        is_same = made_by.get("arguments", {}).get("license") == licence
    return replace(provenance, method={**provenance.method, "model_card": recorded}) if is_same else provenance


def read_license(directory: Path) -> str | None:
    """Return the licence in the metadata of a model directory's card, or None if there is none."""
    import yaml
    from huggingface_hub import metadata_load

    try:
        licence = (metadata_load(directory / CARD_FILE) or {}).get("license")
    except (FileNotFoundError, ValueError, yaml.YAMLError):
        return None
    return licence if isinstance(licence, str) else None


def write_card(values: CardValues, directory: Path, output: Path) -> str:
    """Write the card into the new directory, unless `output` has a card that a user wrote or changed.

    Return the hash of the card, by which the next run recognizes it.
    """
    card = fill_template(values).encode("utf-8")
    path, made_by = output / CARD_FILE, read_provenance(output) or {}
    recorded = made_by.get("card_sha256") or made_by.get("method", {}).get("model_card")  # the second: version 0.1
    if path.is_file() and sha256_of(path.read_bytes()) != recorded:
        print(f"{path}: kept, because this stage did not write it or it was changed. Move it away to get a new one")
    else:
        (directory / CARD_FILE).write_bytes(card)
        print(f"{path}: read it before you publish it, and complete what is {UNKNOWN}")
    return sha256_of(card)


def _base_values(base: BaseModel) -> CardValues:
    name = _cell(base.name)
    link = f"[`{name}`]({HUB}/{name})" if re.fullmatch(r"[\w.-]+/[\w.-]+", name) else f"`{name}`"
    return {"name": name, "link": link, "license": base.license, "added_tokens": base.added_tokens}


def _dictionary_name(facts: CardFacts) -> str | None:
    if facts.dictionary:
        return markdown_text(describe_dictionary(facts.dictionary))
    settings = facts.settings
    if settings is None or settings.word_tokenizer_type != "mecab" or not settings.mecab_dic:
        return None
    return markdown_text(Path(settings.mecab_dic).name)


def _corpus_values(corpus: Corpus) -> CardValues:
    counts = [(name, corpus.counts[name]) for name in ("documents", "sentences", "tokens") if name in corpus.counts]
    return {"name": _one_line(corpus.name), "files": corpus.files, "size": _size(corpus.size), "counts": counts}


def _stage_values(stage: TrainingStage, number: int) -> dict[str, str]:
    """Return one column of the table of stages."""
    rate, optimizer = "trainer.optimizer_config.learning_rate", "trainer.optimizer_config.optimizer"
    values = {
        "initial_weights": _initial_weights(stage, number),
        "corpus": ", ".join(corpus.name for corpus in stage.corpora()),
        "seq_length": stage.param("task.train_data.seq_length"),
        "max_predictions_per_seq": stage.param("task.train_data.max_predictions_per_seq"),
        "masked_lm_prob": stage.method("masked_lm_prob"),
        "dupe_factor": stage.method("dupe_factor"),
        "batch_size": stage.param("task.train_data.global_batch_size"),
        "steps": stage.steps or stage.param("trainer.train_steps"),
        "optimizer": stage.param(f"{optimizer}.type"),
        "learning_rate": stage.chosen(rate, "initial_learning_rate"),
        "decay_steps": stage.chosen(rate, "decay_steps"),
        "warmup_steps": stage.chosen("trainer.optimizer_config.warmup", "warmup_steps"),
        "weight_decay_rate": stage.chosen(optimizer, "weight_decay_rate"),
    }
    return {name: _cell(value) for name, value in values.items()}


def _initial_weights(stage: TrainingStage, number: int) -> str:
    path = Path(str(stage.param("task.init_checkpoint") or ""))
    if not path.name:
        return "random"
    return f"stage {number}" if number else f"{path.parent.name}/{path.name}"


def _cell(value: object) -> str:
    if value is None or value == "":
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else markdown_text(str(value))


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("`", "'")


def _size(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} bytes"


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
