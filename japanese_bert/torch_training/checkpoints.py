"""MODEL_DIR/ckpt-N: a Hugging Face directory, with the state of the training after N steps.

It appears complete or not at all. `provenance.json` has the size of each file, so that a file that is lost is noticed.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from japanese_bert.common.output_directories import open_output_directory
from japanese_bert.common.provenance import DIRECTORY_PROVENANCE, Provenance, read_provenance
from japanese_bert.conversion.model_card import CARD_FILE, sha256_of

CHECKPOINT = re.compile(r"ckpt-(\d+)")


def find_checkpoints(model_dir: Path) -> list[Path]:
    """Return the checkpoints, the latest one last."""
    found = model_dir.iterdir() if model_dir.is_dir() else ()
    return sorted((path for path in found if CHECKPOINT.fullmatch(path.name) and path.is_dir()), key=step_of)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def check_complete(checkpoint: Path) -> None:
    """Raise ValueError for the first file that is not there or has another size."""
    advice = "Copy it again, or remove this directory to continue from the checkpoint before"
    files = (read_provenance(checkpoint) or {}).get("files")
    if not files:
        raise ValueError(f"{checkpoint / DIRECTORY_PROVENANCE}: missing or damaged. {advice}")
    for name, size in files.items():
        path = checkpoint / name
        if not path.is_file():
            raise ValueError(f"{path}: no such file. {advice}")
        if path.stat().st_size != size:
            raise ValueError(f"{path}: has {path.stat().st_size:,} bytes, expected {size:,}. {advice}")


@contextmanager
def writing_checkpoint(checkpoint: Path, provenance: Provenance, max_to_keep: int) -> Iterator[Path]:
    """Yield a temporary directory, which then becomes the checkpoint. Remove the oldest ones, if there are too many."""
    with open_output_directory(checkpoint, provenance) as directory:
        yield directory
    if max_to_keep > 0:
        for path in find_checkpoints(checkpoint.parent)[:-max_to_keep]:
            _remove(path)


def _remove(checkpoint: Path) -> None:
    """Remove what the trainer wrote. A file that a user added stays, and a model card that a user changed."""
    made_by = read_provenance(checkpoint) or {}
    card = checkpoint / CARD_FILE
    is_ours = card.is_file() and sha256_of(card.read_bytes()) == made_by.get("card_sha256")
    for name in (*made_by.get("files", {}), *([CARD_FILE] if is_ours else []), DIRECTORY_PROVENANCE):
        (checkpoint / name).unlink(missing_ok=True)
    with suppress(OSError):
        checkpoint.rmdir()
