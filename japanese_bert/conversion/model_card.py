"""The model card: `README.md` of a model directory, as the Hugging Face Hub shows it.

Filled from configurations and records. What they do not tell is marked `(not recorded)` for the user to fill in; a
card that the user changed is never replaced. Paths stay out of it: it is made to be published.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from japanese_bert.common.provenance import read_provenance
from japanese_bert.conversion.frameworks import GENERATOR, ONNX_FILE
from japanese_bert.conversion.onnx_export import output_names
from japanese_bert.models.architectures import ARCHITECTURES, Architecture
from japanese_bert.models.config import BertConfig
from japanese_bert.models.training_history import Corpus, TrainingStage
from japanese_bert.models.weight_names import weights_of
from japanese_bert.tokenization.tokenizer_directory import FAST_TOKENIZER_FILE, TokenizerSettings, describe_dictionary

CARD_FILE = "README.md"
UNKNOWN = "(not recorded)"
HUB_DATASETS = {"cc-100": "cc100", "wikipedia": "wikipedia"}  # directory of a corpus -> data set on the Hub
EXAMPLE = "東北大学で[MASK]の研究をしています。"
FILL_MASK = """from transformers import pipeline

fill_mask = pipeline("fill-mask", model="{name}")
print(fill_mask("{text}"))
"""
DETECTION = """import torch
from transformers import AutoModelForPreTraining, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForPreTraining.from_pretrained("{name}")
inputs = tokenizer("{plain}", return_tensors="pt")
with torch.inference_mode():
    print(torch.sigmoid(model(**inputs).logits))  # of each token: was it replaced?
"""
NEXT_SENTENCE_WEIGHTS = {
    "BertForPreTraining": "`bert.pooler`, `cls.seq_relationship`",
    "AlbertForPreTraining": "`albert.pooler`, `sop_classifier`",
}
EXACT_GELU = """The head of Transformers' `ElectraForMaskedLM` computes the exact GELU whatever `config.json` says, in
PyTorch and TensorFlow; this model was trained with its tanh form. Its logits differ by about 1e-3. Those of the trained
model:

```python
from transformers import AutoModelForMaskedLM
from transformers.activations import get_activation

model = AutoModelForMaskedLM.from_pretrained(name)
model.generator_predictions.activation = get_activation(model.config.hidden_act)
```"""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """All that a card is made of."""

    name: str
    license: str
    config: BertConfig
    settings: TokenizerSettings | None
    dictionary: Mapping[str, object] | None
    vocab_record: Mapping[str, object] | None
    stages: list[TrainingStage]
    files: list[str]

    @property
    def architecture(self) -> Architecture:
        return ARCHITECTURES[self.config.architecture]

    def corpora(self) -> list[Corpus]:
        found = {corpus.name: corpus for stage in self.stages for corpus in stage.corpora()}
        return list(found.values())


def make_card(facts: CardFacts) -> str:
    parts = [_metadata(facts), _summary(facts), _data(facts), _tokenization(facts), _recipe(facts)]
    return "\n\n".join([*parts, _usage(facts), _licence(facts)]) + "\n"


def card_hash(card: str) -> str:
    return hashlib.sha256(card.encode("utf-8")).hexdigest()


def is_users_card(directory: Path, recorded_hash: object) -> bool:
    """True if the directory has a card other than the one that its record tells of."""
    path = directory / CARD_FILE
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != recorded_hash


def write_card(card: str, directory: Path, output_path: Path) -> None:
    """Into the new directory, unless the output has a card that a user wrote or changed."""
    path = output_path / CARD_FILE
    method = (read_provenance(output_path) or {}).get("method", {})
    if is_users_card(output_path, method.get("model_card")):
        print(f"{path}: not made by this stage, or changed since; kept. Move it away for a new one")
        return
    (directory / CARD_FILE).write_text(card, encoding="utf-8", newline="\n")
    print(f"{path}: read it before you publish it, and complete what is {UNKNOWN}")


def _metadata(facts: CardFacts) -> str:
    datasets = [HUB_DATASETS[corpus.name] for corpus in facts.corpora() if corpus.name in HUB_DATASETS]
    lines = ["---", "language:", "- ja", f"license: {facts.license}", "library_name: transformers"]
    fills_masks = facts.architecture.predicts_tokens
    lines += ["pipeline_tag: fill-mask", 'mask_token: "[MASK]"'] if fills_masks else []
    lines += ["tags:", f"- {facts.config.model_type}"]
    lines += ["- onnx"] if ONNX_FILE in facts.files else []
    lines += ["datasets:", *(f"- {name}" for name in datasets)] if datasets else []
    lines += ["widget:", f'- text: "{EXAMPLE}"'] if fills_masks else []
    return "\n".join([*lines, "---"])


def _summary(facts: CardFacts) -> str:
    config, kind = facts.config, facts.architecture.kind
    parameters = sum(prod(row.hf_shape(config)) for row in weights_of(config))
    shared = " that share their weights" if config.model_type == "albert" else ""
    embedding = f"embedding size {config.embedding_size}, " if config.embedding_size else ""
    return (
        f"# {facts.name}\n\n{'A' if kind.startswith('B') else 'An'} {kind} for Japanese: {config.num_hidden_layers} "
        f"layers{shared}, {embedding}hidden size {config.hidden_size}, {config.num_attention_heads} attention heads, "
        f"intermediate size {config.intermediate_size}, up to {config.max_position_embeddings} tokens, "
        f"{config.vocab_size:,} vocabulary entries, {parameters:,} parameters. Pretrained from raw text with "
        f"{_objectives(facts)}."
    )


def _objectives(facts: CardFacts) -> str:
    whole_word = bool(facts.stages and all(stage.method("do_whole_word_mask") for stage in facts.stages))
    masking = "masked language modelling" + (" of whole words" if whole_word else "")
    if not facts.architecture.predicts_tokens:
        return f"the detection of tokens that a generator replaced, one that learns {masking}"
    return masking + (" and next sentence prediction" if facts.architecture.has_next_sentence else "")


def _data(facts: CardFacts) -> str:
    lines = [_corpus_line(corpus) for corpus in facts.corpora()] or [UNKNOWN]
    return "## Training data\n\n" + "\n".join(f"- {line}" for line in lines)


def _corpus_line(corpus: Corpus) -> str:
    counts = [
        f"{corpus.counts[name]:,} {name}" for name in ("documents", "sentences", "tokens") if name in corpus.counts
    ]
    files = "1 file" if corpus.files == 1 else f"{corpus.files} files"
    return f"`{corpus.name}`: {files}, {_size(corpus.size)} of text, {', '.join(counts)}"


def _tokenization(facts: CardFacts) -> str:
    return "## Tokenization\n\n" + " ".join([_words(facts), _subwords(facts), _vocabulary(facts)]).strip()


def _words(facts: CardFacts) -> str:
    if facts.settings is None:
        return f"Words: {UNKNOWN}."
    if facts.settings.word_tokenizer_type != "mecab":
        return "Text is split into words at white space and punctuation."
    dictionary = describe_dictionary(facts.dictionary) if facts.dictionary else facts.settings.mecab_dic or UNKNOWN
    case = "lower-cased" if facts.settings.do_lower_case else "not lower-cased"
    return f"Text is normalized by NFKC, {case}, and split into words by MeCab with the dictionary {dictionary}."


def _subwords(facts: CardFacts) -> str:
    kinds = {"wordpiece": "WordPiece", "character": "characters"}
    kind = kinds[facts.settings.subword_tokenizer_type] if facts.settings else UNKNOWN
    return f"Words are split into subwords: {kind}, {facts.config.vocab_size:,} entries."


def _vocabulary(facts: CardFacts) -> str:
    counts = (facts.vocab_record or {}).get("counts", {})
    if not {"sentences", "alphabet"} <= counts.keys():
        return ""
    return (
        f"The vocabulary has an alphabet of {counts['alphabet']:,} characters and was trained on "
        f"{counts['sentences']:,} sentences."
    )


def _recipe(facts: CardFacts) -> str:
    rows = {
        "initial weights": lambda stage: _initial(facts.stages, stage),
        "corpus": lambda stage: ", ".join(corpus.name for corpus in stage.corpora()),
        "sequence length, tokens": lambda stage: stage.param("task.train_data.seq_length"),
        "predictions a sequence": lambda stage: stage.param("task.train_data.max_predictions_per_seq"),
        "share of masked tokens": lambda stage: stage.method("masked_lm_prob"),
        "copies of the data, differently masked": lambda stage: stage.method("dupe_factor"),
        "batch size": lambda stage: stage.param("task.train_data.global_batch_size"),
        "steps": lambda stage: stage.steps or stage.param("trainer.train_steps"),
        "optimizer": lambda stage: stage.param("trainer.optimizer_config.optimizer.type"),
        "learning rate": lambda stage: stage.chosen("trainer.optimizer_config.learning_rate", "initial_learning_rate"),
        "steps of decay": lambda stage: stage.chosen("trainer.optimizer_config.learning_rate", "decay_steps"),
        "steps of warm-up": lambda stage: stage.chosen("trainer.optimizer_config.warmup", "warmup_steps"),
        "weight decay": lambda stage: stage.chosen("trainer.optimizer_config.optimizer", "weight_decay_rate"),
    }
    if not facts.stages:
        return f"## Training\n\n{UNKNOWN}"
    header = "| | " + " | ".join(f"stage {number}" for number in range(1, len(facts.stages) + 1)) + " |"
    lines = [header, "|---" * (len(facts.stages) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(_cell(value(stage)) for stage in facts.stages)} |" for name, value in rows.items()
    ]
    return "## Training\n\nWith TensorFlow Model Garden, in the order of the stages.\n\n" + "\n".join(lines)


def _initial(stages: list[TrainingStage], stage: TrainingStage) -> str:
    path, number = Path(str(stage.param("task.init_checkpoint") or "")), stages.index(stage)
    if not path.name:
        return "random"
    return f"stage {number}" if number else f"{path.parent.name}/{path.name}"


def _cell(value: object) -> str:
    if value is None or value == "":
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else str(value)


def _usage(facts: CardFacts) -> str:
    example = FILL_MASK if facts.architecture.predicts_tokens else DETECTION
    parts = [
        "## How to use\n\n```sh\npip install transformers torch fugashi unidic-lite\n```",
        f"```python\n{example.format(name=facts.name, text=EXAMPLE, plain=EXAMPLE.replace('[MASK]', '言語'))}```",
        _loading(facts),
    ]
    if facts.config.architecture == GENERATOR:
        parts.append(EXACT_GELU)
    if FAST_TOKENIZER_FILE in facts.files:
        parts.append(
            "`AutoTokenizer.from_pretrained(name, trust_remote_code=True)` gives the same tokens with offsets, by "
            f"`{FAST_TOKENIZER_FILE}`."
        )
    if ONNX_FILE in facts.files:
        outputs = " and ".join(f"`{name}`" for name in output_names(facts.config.architecture))
        parts.append(
            f"`{ONNX_FILE}` is for ONNX Runtime: inputs `input_ids`, `attention_mask`, `token_type_ids` of any batch "
            f"size and length; outputs {outputs}."
        )
    parts.append(
        "The model has learnt from its training data, with their errors and prejudices; check what it says before you "
        "rely on it."
    )
    return "\n\n".join(parts)


def _loading(facts: CardFacts) -> str:
    name, head = facts.config.architecture, NEXT_SENTENCE_WEIGHTS.get(facts.config.architecture)
    unused = (
        f" For masked language modelling alone the weights of the next sentence head ({head}) are not used; "
        "Transformers 5 lists them as unexpected, which is no fault."
    )
    return (
        f"It loads in Transformers 5 and 4.57.{unused if head else ''} In TensorFlow and Flax (Transformers 4.57): "
        f"`TF{name}.from_pretrained(name, use_safetensors=False)`, `Flax{name}.from_pretrained(name)`."
    )


def _licence(facts: CardFacts) -> str:
    return f"## Licence\n\n`{facts.license}`. The training data have licences of their own."


def _size(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} bytes"
