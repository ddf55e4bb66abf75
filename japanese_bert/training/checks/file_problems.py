"""What the checks of pretraining and of fine-tuning share: data files compared with a configuration."""

from collections.abc import Mapping

from japanese_bert.training.data_files import DataFile, DataKind, match_files

MAX_SHOWN = 3
COMPRESSED = {"tfrecord": False, "tfrecord_compressed": True}  # task.*_data.file_type


def match_input(data, section: str, kind: DataKind) -> list[str]:
    """Return the files that `data.input_path` names.

    Raises:
        ValueError: it is not set, or matches no file.
    """
    if not data.input_path or "<" in str(data.input_path):
        flag = f"--{section.removeprefix('task.').removesuffix('_data')}_files"
        raise ValueError(f"{section}.input_path is not set. Give {flag}")
    try:
        return match_files(data.input_path)
    except ValueError as error:
        raise ValueError(f"{section}.input_path: {error} Make the data with {kind.stage}.py") from None


def raise_problems(problems: list[str], section: str) -> None:
    """Raise ValueError for `path: problem` of a section's files: a line for each of the first three problems.

    A problem that several files have is one line, with their number and the first one as an example.
    """
    paths: dict[str, list[str]] = {}
    for line in problems:
        path, _, problem = line.partition(": ")
        paths.setdefault(problem, []).append(path)
    lines = [f"{name_files(found)}: {problem}" for problem, found in list(paths.items())[:MAX_SHOWN]]
    more = sum(map(len, list(paths.values())[MAX_SHOWN:]))
    if lines:
        raise ValueError("\n".join(f"{section}: {line}" for line in lines + [f"and {more} more files"] * bool(more)))


def name_files(paths: list[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{len(paths)} files, such as {paths[0]}"


def provenance_problem(file: DataFile, kind: DataKind) -> str | None:
    """Return what is wrong with a file's provenance, or with its size."""
    if file.provenance is None:
        return (
            f"has no .json of {kind.stage}.py beside it, which shows whether the file is complete. Copy the .json too, "
            "make the file again, or use files of other tools with --no-check_records"
        )
    expected, size = file.provenance["output"]["size"], file.example.size
    if size != expected:
        return f"has {size:,} bytes, but its .json says {expected:,}. Copy or make it again"
    return None


def compression_problem(file: DataFile, data, section: str) -> str | None:
    """Return how the file differs from `file_type` of a section of the trainer's configuration."""
    if file.example.is_compressed == COMPRESSED.get(data.file_type):
        return None
    state, value = ("is", "tfrecord_compressed") if file.example.is_compressed else ("is not", "tfrecord")
    return f"{state} compressed, but {section}.file_type is {data.file_type}. Set {section}.file_type={value}"


def vocab_problem(file: DataFile, vocab_sizes: Mapping[str, int], advice: str) -> str | None:
    """Return how the file's token ids differ from the vocabularies of the model, by the names of the parameters."""
    made_with = file.provenance["method"].get("vocab_size") if file.provenance else None
    for name, size in vocab_sizes.items():
        if file.largest_id >= size:
            return f"has the token id {file.largest_id:,}, but {name} is {size:,}"
        if made_with not in (None, size):
            return f"was made with a vocabulary of {made_with:,} tokens, but {name} is {size:,}. {advice}"
    return None
