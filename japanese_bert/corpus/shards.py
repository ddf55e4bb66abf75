"""The names of shards, `corpus_NN.txt`."""

import re
from pathlib import Path

SHARD_NAME = re.compile(r"corpus_\d+\.txt(\.gz)?")


def shard_paths(output_dir: Path, num_files: int, compress: bool = False) -> list[Path]:
    """`corpus_01.txt`, `corpus_02.txt`, ... numbered as `seq -f %02g 1 64` counts."""
    suffix = ".txt.gz" if compress else ".txt"
    return [output_dir / f"corpus_{number:02d}{suffix}" for number in range(1, num_files + 1)]


def check_no_other_shards(shards: list[Path]) -> None:
    """Raise FileExistsError if other shards lie beside them, which `corpus_*.txt` would pick up unnoticed."""
    present = [path for path in shards[0].parent.glob("corpus_*") if SHARD_NAME.fullmatch(path.name)]
    others = sorted(set(present) - set(shards))
    if others:
        raise FileExistsError(
            f"{others[0]}: a shard of another run ({len(others)} in all), not one of the {len(shards)} "
            "of this run; remove them with their .json files, or name another --output_dir"
        )
