"""Parts of a corpus for tests, each line of a text a sentence."""

from pathlib import Path

from japanese_bert.common.output_directories import open_output_directory
from japanese_bert.common.provenance import InputFiles, Provenance
from japanese_bert.corpus.own_text.conversion import ConversionOptions, TextConverter
from japanese_bert.corpus.own_text.parts import PART_STAGE, write_part
from japanese_bert.corpus.own_text.sources import SourceBlock, SourceOptions


def make_part(directory: Path, documents: list[str], **options) -> Path:
    """Write documents, 300 in a block."""
    converter = TextConverter(SourceOptions(), ConversionOptions(1, 10_000, **options), None, signs=True)
    rows = [[{"text": text} for text in documents[start : start + 300]] for start in range(0, len(documents), 300)]
    provenance = Provenance(PART_STAGE, {"options": options}, InputFiles(), {})
    with open_output_directory(directory, provenance) as temporary:
        total = write_part(temporary, (converter(SourceBlock(Path("a"), 1, "parquet", lot)) for lot in rows))
        provenance.report.update(counts=dict(total.counts))
    return directory
