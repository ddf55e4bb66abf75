"""Does a file of pretraining data fit the trainer's configuration?"""

from collections.abc import Mapping

from japanese_bert.tfrecord.writing import feature_names
from japanese_bert.training.checks.file_problems import compression_problem, provenance_problem, vocab_problem
from japanese_bert.training.data_files import PRETRAINING, DataFile

DYNAMIC = (
    "Give --experiment=bert/pretraining_dynamic --config_file=configs/data/wikipedia_buckets.yaml, or make it without "
    "that flag"
)


def pretraining_file_problem(
    file: DataFile, data, section: str, vocab_sizes: Mapping[str, int], check_provenance: bool
) -> str | None:
    """Return what does not fit `data`, the section `task.train_data` or another of the trainer's configuration.

    `vocab_sizes` are those of the model's encoders, by the names of the parameters.
    """
    problem = (
        (provenance_problem(file, PRETRAINING) if check_provenance else None)
        or compression_problem(file, data, section)
        or _feature_problem(file, data, section)
        or _bucket_problem(file, data, section)
        or _length_problem(file, data, section)
        or vocab_problem(
            file,
            vocab_sizes,
            "Give the configs/model/*.yaml of this tokenizer, data made with the other one, or the size in "
            "--params_override",
        )
    )
    return f"{file.path}: {problem}" if problem else None


def _feature_problem(file: DataFile, data, section: str) -> str | None:
    is_v2 = "input_word_ids" in file.example.features
    if is_v2 != data.use_v2_feature_names:
        return (
            f"has the feature names {', '.join(feature_names(is_v2)[:3])}. Set "
            f"{section}.use_v2_feature_names={str(is_v2).lower()}, or make it "
            f"{'without' if is_v2 else 'with'} --use_v2_feature_names"
        )
    needed = set(feature_names(is_v2)) - (set() if data.use_next_sentence_label else {"next_sentence_labels"})
    needed |= {"position_ids"} if data.use_position_id else set()
    missing = sorted(needed - file.example.features.keys())
    if missing == ["next_sentence_labels"]:
        return (
            f"has no next_sentence_labels. Set {section}.use_next_sentence_label=false, or make it with sentence pairs"
        )
    return f"has no {', '.join(missing)}. Make it with {PRETRAINING.stage}.py" if missing else None


def _bucket_problem(file: DataFile, data, section: str) -> str | None:
    """Return what is wrong with the lengths of records: for a loader of one length, or for the buckets of `data`."""
    shapes, buckets = file.record_shapes, getattr(data, "seq_bucket_lengths", None)
    made_with = f"was made with --seq_bucket_lengths {' '.join(map(str, shapes))}"
    if len(shapes) > 1 and buckets is None:
        advice = DYNAMIC if section == "task.train_data" else "Make validation data without that flag"
        return f"{made_with}: its records differ in length. {advice}"
    if buckets and not shapes.keys() <= set(buckets):
        found = made_with if len(shapes) > 1 else f"has records of {max(shapes)} tokens"
        return f"{found}, but {section}.seq_bucket_lengths is {', '.join(map(str, buckets))}. Set it to the data's"
    return None


def _length_problem(file: DataFile, data, section: str) -> str | None:
    if file.provenance is None and getattr(data, "seq_bucket_lengths", None):
        return None  # the first record may be of any bucket
    shapes = file.record_shapes
    longest = max(shapes)
    for name, found in (("seq_length", longest), ("max_predictions_per_seq", shapes[longest])):
        expected = getattr(data, name)
        if found != expected:
            flag = "max_seq_length" if name == "seq_length" else name
            return (
                f"was made with --{flag} {found}, but {section}.{name} is {expected}. Give data and configuration of "
                "the same stage, and check whether the pattern matches files of another stage"
            )
    return None
