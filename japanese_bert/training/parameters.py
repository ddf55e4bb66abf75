"""Model Garden's parameters: read from --config_file and --params_override, with one line for each mistake."""

import argparse
import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from official.core.config_definitions import ExperimentConfig
    from official.core.train_utils import ParseConfigOptions
    from official.modeling.hyperparams import Config

OTHER_EXPERIMENT = (
    ". ELECTRA's configs/model/*.yaml go with --experiment=electra/pretraining, others with bert/pretraining"
)


def parse_parameters(args: argparse.Namespace) -> "ExperimentConfig":
    """Return what --experiment, --config_file and --params_override describe. Raise ValueError for a mistake."""
    from official.core import exp_factory, train_utils

    try:
        defaults = exp_factory.get_exp_config(args.experiment)
    except LookupError:
        raise ValueError(f"--experiment {args.experiment}: no such experiment. See --help") from None
    for flag in ("config_file", "params_override"):
        value = getattr(args, flag) or []
        for text in [value] if isinstance(value, str) else value:
            source = "--params_override" if value is text else f"--config_file {text}"
            check_parameters(source, read_parameters(f"--{flag}", text), defaults)
    try:
        return train_utils.parse_configuration(parse_options(args), print_return=False)
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"--config_file or --params_override: {' '.join(map(str, error.args))}") from None


def parse_options(args: argparse.Namespace) -> "ParseConfigOptions":
    from official.core import train_utils

    return train_utils.ParseConfigOptions(
        experiment=args.experiment,
        config_file=args.config_file or [],
        tpu=args.tpu,
        tf_data_service=args.tf_data_service or "",
        params_override=args.params_override or "",
    )


def read_parameters(flag: str, text: str) -> Mapping:
    """Return the parameters of a YAML file, or of `name=value,...`, as Model Garden reads them."""
    from official.modeling.hyperparams.params_dict import _LOADER as Loader
    from official.modeling.hyperparams.params_dict import nested_csv_str_to_json_str
    from yaml import YAMLError, load

    inline, name = text, flag
    with suppress(ValueError):
        inline = nested_csv_str_to_json_str(text)
    try:
        found = load(inline, Loader)
        if isinstance(found, dict):
            return found
        name = f"{flag} {text}"
        inline = _text_of(name, text)
        found = load(inline, Loader)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line if mark else 0
        has_tab = mark and "\t" in inline.split("\n")[line]
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        problem = "a tab. YAML is indented with spaces" if has_tab else f"no YAML, {reason}"
        raise ValueError(f"{name}:{line + 1}: {problem}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{name}: {'no parameters' if found else 'is empty'}. Expected lines 'name: value'")
    return found


def _text_of(name: str, path: str) -> str:
    import tensorflow as tf

    if tf.io.gfile.isdir(path):
        raise ValueError(f"{name}: is a directory. Expected a YAML file")
    if not tf.io.gfile.exists(path):
        raise ValueError(f"{name}: no such file. Expected a YAML file or name=value,...")
    try:
        with tf.io.gfile.GFile(path) as file:
            return file.read()
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: cannot be read as text. {' '.join(str(error).split())}") from None


def check_parameters(source: str, values: Mapping, defaults: "ExperimentConfig") -> None:
    """Raise ValueError for the first parameter that does not exist, or whose value is of another kind."""
    for path, value, section in _walk(values, defaults):
        parent, _, name = path.rpartition(".")
        known = _known_in(section)
        if name not in known:
            hint = OTHER_EXPERIMENT if "PretrainerConfig" in type(section).__name__ else ""
            raise ValueError(f"{source}: no parameter {path}{_near(parent, name, known, defaults) or hint}")
        expected = known[name]
        is_section, is_number = isinstance(expected, dict), isinstance(expected, int | float)
        if (is_section and not isinstance(value, Mapping | None)) or (is_number and isinstance(value, str | list)):
            kinds = {dict: "a section, name: value", bool: "true or false"}
            raise ValueError(f"{source}: {path} is {value!r}. Expected {kinds.get(type(expected), 'a number')}")


def _known_in(section: "Config") -> dict[str, object]:
    """Return the parameters of a section. One that chooses by `type` shows only the chosen one: add the others."""
    others: dict[str, object] = (
        {field.name: {} for field in dataclasses.fields(section)} if "type" in section.as_dict() else {}
    )
    return {**others, **section.as_dict()}


def _walk(values: Mapping, section: "Config", parent: str = "") -> Iterator[tuple[str, object, "Config"]]:
    """Yield the path of each parameter, its value, and the section of the configuration where it should be."""
    for name, value in values.items():
        yield f"{parent}{name}", value, section
        inner = getattr(section, str(name), None)
        if isinstance(value, Mapping) and hasattr(inner, "as_dict"):
            yield from _walk(value, inner, f"{parent}{name}.")


def _near(parent: str, name: str, known: Mapping, defaults: "ExperimentConfig") -> str:
    """Return a question with the parameter that may be meant: this name elsewhere, or a near one here."""
    paths = [path for path, _, _ in _walk(defaults.as_dict(), defaults) if path.rpartition(".")[2] == name]
    prefix = f"{parent}." if parent else ""
    near = difflib.get_close_matches(f"{prefix}{name}", paths, 1, cutoff=0)
    near = near or [f"{prefix}{found}" for found in difflib.get_close_matches(name, known, 1)]
    return f". Did you mean {near[0]}?" if near else ""
