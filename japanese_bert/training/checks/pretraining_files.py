"""Does a file of pretraining data fit the trainer's configuration?"""

from collections.abc import Mapping

from japanese_bert.tfrecord.writing import feature_names
from japanese_bert.training.checks.file_problems import compression_problem, provenance_problem, vocab_problem
from japanese_bert.training.data_files import PRETRAINING, DataFile


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


def _length_problem(file: DataFile, data, section: str) -> str | None:
    buckets = file.provenance["method"].get("seq_bucket_lengths") if file.provenance else None
    if buckets:
        lengths = " ".join(map(str, buckets))
        return f"was made with --seq_bucket_lengths {lengths}: its records differ in length. Make it without that flag"
    for name, feature in (("seq_length", "input_mask"), ("max_predictions_per_seq", "masked_lm_positions")):
        expected, found = getattr(data, name), file.length(feature)
        if found != expected:
            flag = "max_seq_length" if name == "seq_length" else name
            return (
                f"was made with --{flag} {found}, but {section}.{name} is {expected}. Give data and configuration of "
                "the same stage, and check whether the pattern matches files of another stage"
            )
    return None
