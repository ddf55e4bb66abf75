"""The model card: `README.md` of a model directory, as the Hugging Face Hub shows it.

Filled from configurations and records. What they do not tell is marked `(not recorded)` for the user to fill in; a
card that the user changed is never replaced. Paths stay out of it: it is made to be published.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from japanese_bert.bert_config import BertConfig
from japanese_bert.checkpoints import weights_of
from japanese_bert.frameworks import ONNX_FILE
from japanese_bert.tokenizer_directory import FAST_TOKENIZER_FILE, TokenizerSettings, describe
from japanese_bert.training_records import Corpus, TrainingStage

CARD_FILE = "README.md"
UNKNOWN = "(not recorded)"
HUB_DATASETS = {"cc-100": "cc100", "wikipedia": "wikipedia"}  # directory of a corpus -> data set on the Hub
EXAMPLE = "東北大学で[MASK]の研究をしています。"


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


def _metadata(facts: CardFacts) -> str:
    datasets = [HUB_DATASETS[corpus.name] for corpus in facts.corpora() if corpus.name in HUB_DATASETS]
    lines = ["---", "language:", "- ja", f"license: {facts.license}", "library_name: transformers"]
    lines += ["pipeline_tag: fill-mask", 'mask_token: "[MASK]"', "tags:", "- bert"]
    lines += ["- onnx"] if ONNX_FILE in facts.files else []
    lines += ["datasets:", *(f"- {name}" for name in datasets)] if datasets else []
    return "\n".join([*lines, "widget:", f'- text: "{EXAMPLE}"', "---"])


def _summary(facts: CardFacts) -> str:
    config = facts.config
    parameters = sum(prod(row.hf_shape(config)) for row in weights_of(config))
    return (
        f"# {facts.name}\n\nA BERT for Japanese: {config.num_hidden_layers} layers, hidden size {config.hidden_size}, "
        f"{config.num_attention_heads} attention heads, intermediate size {config.intermediate_size}, up to "
        f"{config.max_position_embeddings} tokens, {config.vocab_size:,} vocabulary entries, {parameters:,} "
        f"parameters. Pretrained from raw text with {_objectives(facts.stages)}."
    )


def _objectives(stages: list[TrainingStage]) -> str:
    masking = {True: "masked language modelling of whole words", False: "masked language modelling"}
    whole_word = bool(stages and all(stage.method("do_whole_word_mask") for stage in stages))
    return f"{masking[whole_word]} and next sentence prediction"


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
    dictionary = describe(facts.dictionary) if facts.dictionary else facts.settings.mecab_dic or UNKNOWN
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
    fast = (
        "\n\n`AutoTokenizer.from_pretrained(name, trust_remote_code=True)` gives the same tokens with offsets, by "
        f"`{FAST_TOKENIZER_FILE}`."
    )
    onnx = (
        f"\n\n`{ONNX_FILE}` is for ONNX Runtime: inputs `input_ids`, `attention_mask`, `token_type_ids` of any batch "
        "size and length; outputs `logits` and `seq_relationship_logits`."
    )
    return f"""## How to use

```sh
pip install transformers torch fugashi unidic-lite
```

```python
from transformers import pipeline

fill_mask = pipeline("fill-mask", model="{facts.name}")
print(fill_mask("{EXAMPLE}"))
```

It loads in Transformers 5 and 4.57. For masked language modelling alone the weights of the next sentence head
(`bert.pooler`, `cls.seq_relationship`) are not used; Transformers 5 lists them as unexpected, which is no fault. In
TensorFlow and Flax (Transformers 4.57): `TFBertForPreTraining.from_pretrained(name, use_safetensors=False)`,
`FlaxBertForPreTraining.from_pretrained(name)`.{fast if FAST_TOKENIZER_FILE in facts.files else ""}{
        onnx if ONNX_FILE in facts.files else ""
    }

The model has learnt from its training data, with their errors and prejudices; check what it says before you rely on
it."""


def _licence(facts: CardFacts) -> str:
    return f"## Licence\n\n`{facts.license}`. The training data have licences of their own."


def _size(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size} bytes"
