"""Were all data files, and the weights that a training starts from, made with one tokenization?

The trainer would learn other meanings of the same ids. Files of other tools state nothing.
"""

from collections.abc import Iterable

from japanese_bert.models.remote_paths import any_path
from japanese_bert.models.training_history import read_tokenizations
from japanese_bert.tokenization.identity import SAME_OR_FLAG, Tokenization, differences
from japanese_bert.training.checks.findings import Findings, check
from japanese_bert.training.data_files import DataFile


@check
def check_tokenizations(
    findings: Findings, files: Iterable[DataFile], others: Iterable[Tokenization], check_records: bool
) -> None:
    """Check that all files agree, and that they agree with `others`, such as the initial weights.

    Without `check_records` the second is a remark. Reason: data may have been made again under the names that a
    training recorded.
    """
    of_files = [file.tokenization for file in files]
    if found := differences(of_files):
        raise ValueError(f"{found[0]}. Make all files with the same one")
    found = differences([*others, *of_files[:1]])
    if found and check_records:
        raise ValueError(f"{found[0]}. {SAME_OR_FLAG}")
    findings.remarks += found


def tokenizations_of_start(init_checkpoint: str | None, vocab_size: int | None = None) -> list[Tokenization]:
    """Return what is recorded of the weights that `task.init_checkpoint` names: a prefix or a directory.

    `vocab_size` is that of the model that starts from them, which may have more tokens.
    """
    if not init_checkpoint:
        return []
    path = any_path(init_checkpoint)
    return read_tokenizations(path / "latest" if path.is_dir() else path, vocab_size)
