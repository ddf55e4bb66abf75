"""The stages that faults strike: a command on small real inputs for each, and what applies to it."""

import bz2
import gzip
import json
import lzma
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.faults.tree import tree
from tests.helpers.places import ROOT

SAMPLES = ROOT / "sample_data"
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, 6, mtime=0),
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".bz2": lambda data: bz2.compress(data, 1),
}


DATA_LIBRARIES = ("numba", "fugashi", "tokenizers", "tqdm", "isal.igzip", "multiprocessing.connection")
MODEL_LIBRARIES = (
    "numba", "fugashi", "tensorflow", "official.nlp.tools.export_tfhub_lib", "tensorflow_hub", "transformers", "torch",
    "transformers.models.bert.modeling_bert",
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """`arguments` name files below `in` and `out`.

    `input` is the file that is cut, or changed by `changes` of test_inputs.py; `streams`: it may be compressed.
    `other` are flags that make other bytes. `reports_damage`: it names damaged inputs and shows the rest.
    `directory` is the output where that is one. `short` is for the summary.
    """

    name: str
    short: str
    make_inputs: Callable[[Path], None]
    arguments: tuple[str, ...]
    other: tuple[str, ...] = ()
    input: str = ""
    changes: tuple[str, ...] = ("append", "replace", "truncate", "rewrite")
    streams: bool = False
    reports_damage: bool = False
    workers: bool = False
    directory: str = ""
    has_output: bool = True
    overwrite: bool = True
    is_data: bool = False

    @property
    def libraries(self) -> tuple[str, ...]:
        """What a process imports that runs are forked from."""
        return DATA_LIBRARIES if self.is_data else MODEL_LIBRARIES

    @property
    def script(self) -> tuple[str, ...]:
        """Python's arguments before those of the stage."""
        script = tree() / f"{self.name}.py"
        return (str(script),) if script.exists() else ("-m", f"tools.{self.name}")

    def __str__(self) -> str:
        return self.name


@cache
def sample_text() -> bytes:
    return lzma.decompress((SAMPLES / "cc100_sample.txt.xz").read_bytes())


def write_corpus(directory: Path, copies: int) -> None:
    (directory / "corpus.txt").write_bytes(sample_text() * copies)


def write_dump(directory: Path) -> None:
    pages = gzip.decompress((SAMPLES / "jawiki-sample-cirrussearch-content.json.gz").read_bytes())
    (directory / "wiki.json").write_bytes(pages * 10)


def write_rows(directory: Path) -> None:
    documents = sample_text().decode().split("\n\n") * 10
    rows = (json.dumps({"text": f"{number}番。{text}"}) for number, text in enumerate(documents))
    (directory / "rows.jsonl").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def write_lexicon(directory: Path) -> None:
    """Surfaces as of UniDic's lex.csv: all characters of the sample text, often."""
    characters = sorted(set(sample_text().decode()) - set('\n,"'))
    numbers = random.Random(0)
    words = ("".join(numbers.choices(characters, k=3)) for _ in range(100_000))
    (directory / "lex.csv").write_text("".join(f"{word},1,1,100,名詞\n" for word in words), encoding="utf-8")


def write_vocab(directory: Path, size: int = 0) -> Path:
    from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, unused_tokens, vocab_bytes

    characters = sorted(set(sample_text().decode()) - {"\n"})
    tokens = [*SPECIAL_TOKENS, *unused_tokens(10), *characters, *(f"##{character}" for character in characters)]
    tokens += [f"語{number}" for number in range(size - len(tokens))]
    path = directory / "vocab.txt"
    path.write_bytes(vocab_bytes(tokens))
    return path


def write_corpus_and_vocab(directory: Path) -> None:
    write_corpus(directory, 5)
    write_vocab(directory)


def write_tokenizer_directory(directory: Path) -> None:
    write_corpus(directory, 5)
    model = shutil.copytree(ROOT / "hf_model_configs" / "bert_tiny_wordpiece", directory / "model")
    vocab = write_vocab(model)
    edit_json(model / "config.json", vocab_size=vocab.read_bytes().count(b"\n"))


def write_model(directory: Path) -> None:
    """A random model of one layer, as Transformers saves it."""
    import torch
    from transformers import BertConfig, BertForPreTraining

    vocab = write_vocab(directory)
    config = BertConfig(
        vocab_size=vocab.read_bytes().count(b"\n"), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=400, hidden_act="gelu_new",
    )  # fmt: skip
    torch.manual_seed(0)
    BertForPreTraining(config).save_pretrained(directory / "model")
    vocab.rename(directory / "model" / "vocab.txt")
    settings = json.loads((ROOT / "hf_model_configs/bert_tiny_wordpiece/tokenizer_config.json").read_text())
    settings.pop("auto_map", None)
    (directory / "model" / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def write_model_and_corpus(directory: Path) -> None:
    write_model(directory)
    write_corpus(directory, 20)


def write_checkpoint(directory: Path) -> None:
    """What convert_hf_checkpoint_to_tf2.py makes of that model."""
    import convert_hf_checkpoint_to_tf2 as convert

    write_model(directory)
    arguments = ["--hf_model_dir", str(directory / "model"), "--output_dir", str(directory / "tf2")]
    convert.main(convert.get_parser().parse_args(arguments))


def write_tf1_checkpoint(directory: Path) -> None:
    """What Google has of such a model: a checkpoint of TensorFlow 1, and its configuration."""
    from japanese_bert.models.config import load_bert_config
    from tests.helpers.tf1_checkpoints import write_google_archive

    write_model(directory)
    write_google_archive(load_bert_config(directory / "model" / "config.json"), directory / "tf1")


def write_jglue(directory: Path) -> None:
    from tests.helpers.small_jglue import write_split

    write_model(directory)
    for split, count in (("train", 40), ("valid", 12)):
        write_split(directory / "datasets", "jsts", split, count)


def write_labelled_texts(directory: Path) -> None:
    lines = sample_text().decode().split("\n")
    texts = [line for line in lines if line][:3000]
    rows = [{"text": text, "label": "long" if len(text) > 40 else "short"} for text in texts]
    rows_text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (directory / "rows.jsonl").write_text(rows_text, encoding="utf-8")
    write_vocab(directory)


def write_questions_and_tags(directory: Path) -> None:
    from tests.helpers import small_answers, small_pretraining

    small_answers.write_questions(directory / "questions.json", 0, count=500)
    small_answers.write_sentences(directory / "words.conll", 0, count=2000)
    small_pretraining.write_vocab(directory / "vocab.txt")


def write_encoder(directory: Path) -> None:
    """A random checkpoint with labelled texts, for fine-tuning and exporting."""
    from tests.helpers import small_finetuning

    small_finetuning.write_all(directory)


def write_pretraining(directory: Path) -> None:
    """Pretraining data with its corpus and vocabulary, and the parameters of a tiny model."""
    from tests.helpers import small_pretraining

    small_pretraining.write_all(directory)


def write_fine_tuned(directory: Path) -> None:
    from tests.helpers import small_finetuning

    small_finetuning.write_all(directory)
    encoder = f"--tf_config_file={directory / 'trained' / 'config.json'}"
    small_finetuning.train(directory, directory / "model", small_finetuning.START.format(place=directory), encoder)


def write_nothing(directory: Path) -> None:
    """Make a stage without inputs."""


def write_training_events(directory: Path) -> None:
    from tests.training.test_curves import write_events

    points = [(step, 10 / step) for step in range(1, 50)]
    write_events(directory / "model" / "train" / "events.out.tfevents.1.v2", 100, points)


def edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


DATA_STAGES = (
    Stage(
        "merge_split_corpora", "merge", lambda directory: write_corpus(directory, 30),
        ("--input_files", "in/corpus.txt", "--output_dir", "out", "--num_files", "2"),
        other=("--random_seed", "1"), input="in/corpus.txt", streams=True, is_data=True,
    ),
    Stage(
        "make_corpus_wiki", "wiki", write_dump,
        ("--input_file", "in/wiki.json", "--output_file", "out/corpus.txt.gz", "--num_workers", "2"),
        other=("--min_sentence_length", "20"), input="in/wiki.json", streams=True, workers=True, is_data=True,
    ),
    Stage(
        "make_corpus", "own text", write_rows,
        ("--input_files", "in/rows.jsonl", "--output_file", "out/corpus.txt.gz", "--num_workers", "2",
         "--quality", "web", "--near_duplicates", "0.8"),
        other=("--min_sentence_length", "20"), input="in/rows.jsonl", streams=True, workers=True, is_data=True,
    ),
    Stage(
        "make_alphabet_from_unidic", "alphabet", write_lexicon,
        ("--lex_file", "in/lex.csv", "--output_file", "out/alphabet.txt"),
        input="in/lex.csv", streams=True, is_data=True,
    ),
    Stage(
        "train_tokenizer", "tokenizer", lambda directory: write_corpus(directory, 5),
        ("--input_files", "in/corpus.txt", "--output_dir", "out/wordpiece", "--character_output_dir", "out/character",
         "--vocab_size", "2500", "--num_workers", "2"),
        other=("--vocab_size", "2400"), input="in/corpus.txt", streams=True, workers=True, is_data=True,
    ),
    Stage(
        "create_pretraining_data", "data", write_corpus_and_vocab,
        ("--input_file", "in/corpus.txt", "--vocab_file", "in/vocab.txt", "--output_file", "out/a.gz,out/b.gz",
         "--dupe_factor", "5", "--do_whole_word_mask", "--gzip_compress", "--use_v2_feature_names", "--num_workers",
         "2"),
        other=("--random_seed", "1"), input="in/corpus.txt", streams=True, workers=True, is_data=True,
    ),
    Stage(
        "create_classification_data", "labels", write_labelled_texts,
        ("--input_file", "in/rows.jsonl", "--vocab_file", "in/vocab.txt", "--output_file", "out/rows.tfrecord.gz",
         "--text_fields", "text", "--labels", "short", "long", "--gzip_compress"),
        other=("--max_seq_length", "64"), input="in/rows.jsonl", streams=True, is_data=True,
    ),
)  # fmt: skip

OTHER_STAGES = (
    Stage(
        "check_tokenizer", "check", write_tokenizer_directory,
        ("--model_dir", "in/model", "--input_file", "in/corpus.txt"),
        input="in/corpus.txt", streams=True, has_output=False, overwrite=False,
    ),
    Stage(
        "convert_hf_checkpoint_to_tf2", "hf-tf2", write_model,
        ("--hf_model_dir", "in/model", "--output_dir", "out/tf2"),
        other=("--initial_learning_rate", "1e-4"), input="in/model/model.safetensors", changes=("flip",),
        directory="tf2",
    ),
    Stage(
        "convert_tf2_checkpoint_to_all_frameworks", "tf2-hf", write_checkpoint,
        ("--tf_checkpoint_path", "in/tf2/ckpt-0", "--tf_config_file", "in/tf2/config.json", "--output_path",
         "out/hf", "--no-verify"),
        input="in/tf2/ckpt-0.data-00000-of-00001", changes=("flip",), directory="hf",
    ),
    Stage(
        "create_question_answering_data", "answers", write_questions_and_tags,
        ("--input_file", "in/questions.json", "--vocab_file", "in/vocab.txt", "--output_file",
         "out/questions.tfrecord.gz", "--gzip_compress"),
        other=("--max_seq_length", "64"), input="in/questions.json", changes=("shorten",),
    ),
    Stage(
        "create_tagging_data", "tags", write_questions_and_tags,
        ("--input_file", "in/words.conll", "--vocab_file", "in/vocab.txt", "--output_file", "out/words.tfrecord.gz",
         "--labels", "O", "B-PLACE", "I-PLACE", "B-FOOD", "I-FOOD", "--gzip_compress"),
        other=("--max_seq_length", "64"), input="in/words.conll", streams=True,
    ),
    Stage(
        "convert_tf1_checkpoint_to_tf2", "tf1-tf2", write_tf1_checkpoint,
        ("--tf1_checkpoint", "in/tf1", "--config_file", "in/tf1/bert_config.json", "--vocab_file",
         "in/model/vocab.txt", "--no-do_lower_case", "--output_dir", "out/tf2"),
        other=("--do_lower_case",), input="in/tf1/bert_model.ckpt.data-00000-of-00001", changes=("flip",),
        directory="tf2",
    ),
    Stage(
        "evaluate_jglue", "jglue", write_jglue,
        ("--model_dir", "in/model", "--data_dir", "in/datasets", "--tasks", "jsts", "--output_dir", "out",
         "--learning_rate", "1e-3", "--num_train_epochs", "1", "--use_cpu"),
        input="in/datasets/jsts-v1.3/train-v1.3.json", changes=("replace",),
    ),
    Stage(
        "export_saved_model", "export", write_encoder,
        ("--tf_checkpoint_path", "in/trained", "--tf_config_file", "in/trained/config.json", "--vocab_file",
         "in/vocab.txt", "--output_path", "out/saved"),
        input="in/trained/ckpt-5.data-00000-of-00001", changes=("flip",), directory="saved",
    ),
    Stage(
        "predict_labels", "predict", write_fine_tuned,
        ("--model_dir", "in/model", "--input_file", "in/valid.tfrecord.gz", "--output_file", "out/labels.jsonl"),
        input="in/valid.tfrecord.gz", changes=("flip",),
    ),
    Stage(
        "score_masked_lm", "score", write_model_and_corpus,
        ("--model", "in/model", "--input_file", "in/corpus.txt", "--num_sentences", "20"),
        input="in/corpus.txt", streams=True, has_output=False, overwrite=False,
    ),
    Stage(
        "inspect_pretraining_data", "inspect", write_pretraining,
        ("--input_files", "in/data/train_1.tfrecord.gz", "--validation_files", "in/held_out/valid.tfrecord.gz",
         "--vocab_file", "in/vocab.txt", "--corpus_files", "in/corpus_0.txt", "--output_file", "out/report.html"),
        input="in/corpus_0.txt", changes=(), streams=True, reports_damage=True, overwrite=False,
    ),
    Stage(
        "plot_training_curves", "curves", write_training_events,
        ("--run", "in/model", "--output_file", "out/curves.png"),
        input="in/model/train/events.out.tfevents.1.v2", changes=(), overwrite=False,
    ),
)  # fmt: skip

STAGES = DATA_STAGES + OTHER_STAGES
