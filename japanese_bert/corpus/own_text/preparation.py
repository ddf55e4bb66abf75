"""Input files -> parts on disk. Consecutive small files share a part. A part that is complete is not made again."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from japanese_bert.common import text_files
from japanese_bert.common.output_directories import open_output_directory
from japanese_bert.common.provenance import InputFiles, Provenance, read_provenance
from japanese_bert.common.report import progress_bar
from japanese_bert.common.workers import map_in_order
from japanese_bert.corpus.own_text.conversion import PreparedBlock, TextConverter
from japanese_bert.corpus.own_text.parts import COUNTS, PART_STAGE, write_part
from japanese_bert.corpus.own_text.sources import SourceBlock, SourceOptions, read_source_blocks
from japanese_bert.tokenization.mecab import Dictionary

PART_BYTES = 1 << 26  # input files of at least this size are a part of their own, smaller ones share one


@dataclass(frozen=True)
class Preparation:
    """What makes the parts of one corpus: the same for all of them. `method` is what decides their content."""

    converter: TextConverter
    sources: SourceOptions
    method: Mapping[str, object]
    arguments: Mapping[str, object]
    dictionary: Dictionary | None
    num_workers: int
    max_corrupt_rows: int

    def provenance(self, stage: str, inputs: InputFiles, **more: object) -> Provenance:
        """Return the provenance of an output of these inputs."""
        return Provenance(
            stage=stage,
            method={**self.method, **more},
            inputs=inputs,
            arguments=self.arguments,
            dictionary=self.dictionary.identity() if self.dictionary else None,
            packages=("fugashi", "isal", "orjson", "numba", "numpy"),
        )

    def part_provenance(self, inputs: list[Path]) -> Provenance:
        """Return the provenance of a part of these inputs."""
        return self.provenance(PART_STAGE, InputFiles(text=inputs))

    def write(
        self, directory: Path, provenance: Provenance, progress: Callable[[int], object], overwrite: bool
    ) -> Mapping:
        """Make one part, unless it is complete. Return its counts."""
        inputs = provenance.inputs.paths
        # The bytes of a pipe are gone, so a part of it is made again.
        has_pipe = text_files.STANDARD_INPUT in inputs or not all(path.is_file() for path in inputs)
        if not has_pipe and provenance.is_complete([directory]):
            progress(text_files.size_on_disk(inputs) or 0)
            return read_provenance(directory) or {}
        self.converter(SourceBlock(Path("-"), 1, "line", "一文。\n".encode()))  # load compiled code before the fork
        with open_output_directory(directory, provenance, overwrite) as temporary:
            rows = (block for path in inputs for block in read_source_blocks(path, self.sources, progress))
            blocks = map_in_order(self.converter, rows, self.num_workers)
            total = write_part(temporary, _check_corrupt(blocks, self.max_corrupt_rows))
            provenance.report.update(
                {name: dict(getattr(total, name)) for name in COUNTS},
                corrupt_rows=total.corrupt,
                encodings={str(path): self.sources.verdicts.get(str(path)) for path in inputs},
            )
        return provenance.report

    def write_all(self, inputs: list[Path], directory: Path) -> list[Path]:
        """Make the parts of all input files below a directory. Return them in order."""
        parts, left = [], self.max_corrupt_rows
        try:
            with progress_bar("Reading", text_files.size_on_disk(inputs), "B") as bar:
                for number, files in enumerate(_shared_parts(inputs)):
                    # The name differs for other arguments and inputs, so that no two runs write one part differently.
                    provenance = self.part_provenance(files)
                    recipe = json.dumps(provenance.recipe(), sort_keys=True)
                    parts.append(directory / f"{number:05d}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}")
                    report = self.write(parts[-1], provenance, bar.update, overwrite=True)
                    left -= len(report["corrupt_rows"])
                    if left < 0:
                        raise ValueError(f"{report['corrupt_rows'][-1]} (more than --max_corrupt_rows in all files)")
        finally:
            with suppress(OSError):
                directory.rmdir()  # if it is empty, because the first part failed
        return parts


def _check_corrupt(blocks: Iterable[PreparedBlock], limit: int) -> Iterator[PreparedBlock]:
    """Yield the blocks. Print each corrupt row. Raise ValueError if there are more than `limit`."""
    count = 0
    for block in blocks:
        for line in block.corrupt:
            print(f"warning: {line}", file=sys.stderr)
        count += len(block.corrupt)
        if count > limit:
            raise ValueError(
                f"{block.corrupt[-1]} (more than --max_corrupt_rows {limit}). Name another --text_field, repair the "
                "file, or allow more"
            )
        yield block


def _shared_parts(inputs: list[Path]) -> Iterator[list[Path]]:
    """Yield consecutive files that share a part."""
    shared: list[Path] = []
    size = 0
    for path in inputs:
        of_path = PART_BYTES if path == text_files.STANDARD_INPUT else path.stat().st_size
        if shared and size + of_path > PART_BYTES:
            yield shared
            shared, size = [], 0
        shared.append(path)
        size += of_path
    yield shared
