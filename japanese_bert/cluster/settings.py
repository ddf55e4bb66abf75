"""The settings of the workers, and the optional packages that start them."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """The workers to start. `cores` and `memory` are for one worker. `options` go to Dask's cluster class."""

    scheduler: str
    workers: int
    workers_per_job: int
    cores: int
    memory: str
    walltime: str
    dashboard_address: str
    options: Mapping[str, Any]
    log_dir: Path


def read_options(path: Path | None) -> dict[str, object]:
    """Read the YAML file of `--scheduler_options`.

    Raises:
        ValueError: the file does not map names to values.
    """
    if path is None:
        return {}
    yaml = load_package("yaml")
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(options, dict):
        raise ValueError(f"{path}: expected lines such as 'queue: gpu', found {type(options).__name__}")
    return options


def construct(make: Callable[..., Made], options: Mapping[str, object]) -> Made:
    """Call a class of Dask. Raise ValueError if one of `--scheduler_options` is unknown."""
    try:
        return make(**options)
    except TypeError as error:
        raise ValueError(f"--scheduler_options: {' '.join(str(error).split())}") from None


def load_package(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{error.name} is not installed. Run `./install.sh cluster`") from None
