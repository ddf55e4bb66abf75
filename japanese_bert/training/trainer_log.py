"""Where the trainer's own output goes: to a file beside the checkpoints. The terminal gets our lines."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from japanese_bert.common.process import LastingStream


def log_path(model_dir: str, worker: int = 0) -> Path:
    """Return the log of a worker. A bucket has its log in the current directory.

    >>> [str(log_path(*arguments)) for arguments in (("model/base",), ("model/base", 2), ("gs://bucket/base",))]
    ['model/base/train.log', 'model/base/train.worker_2.log', 'bucket_base.train.log']
    """
    name = f"train.worker_{worker}.log" if worker else "train.log"
    if "://" in model_dir:
        return Path(f"{model_dir.partition('://')[2].strip('/').replace('/', '_')}.{name}")
    return Path(model_dir) / name


@contextmanager
def output_to(log: Path) -> Iterator[TextIO]:
    """Append everything that this process prints to `log`, from C++ too. Yield the standard output of before.

    If the block fails, the log gets the traceback, and the standard error output names the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    kept = [os.dup(1), os.dup(2)]
    _flush()
    with open(log, "ab") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    failed = True
    try:
        with os.fdopen(os.dup(kept[0]), "w", encoding="utf-8") as stream:
            yield cast(TextIO, LastingStream(stream))
        failed = False
    except SystemExit as end:
        failed = bool(end.code)
        raise
    except Exception:
        traceback.print_exc()
        raise
    finally:
        _flush()
        for number, descriptor in enumerate(kept, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        if failed:
            print(f"the trainer's output is in {log}", file=sys.stderr, flush=True)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
