"""Model Garden's parameters: read from --config_file and --params_override, with one line for each mistake."""

import argparse
import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from japanese_bert.tfrecord.reading import open_file

if TYPE_CHECKING:
    from official.core.config_definitions import ExperimentConfig
    from official.core.train_utils import ParseConfigOptions

# One of `name=value,...`. A value is quoted, a list in brackets, or has neither comma nor bracket.
ASSIGNMENT = re.compile(r"""([a-zA-Z][\w.]*)\s*=\s*('.*?'|".*?"|\[[^\]]*\]|[^,\[]*)(?:$|,\s*)""")
EXPONENT = re.compile(r"[-+]?\d[\d_]*[eE][-+]?\d+")  # a float for Model Garden, a string for YAML
Section = Any  # of a configuration, with `as_dict`: Model Garden's, or that of `torch_training/parameters.py`


NUMBERS_WITHOUT_DEFAULT = ("decay_steps", "initial_learning_rate", "warmup_steps")
ENDLESS = "continuous_eval_timeout"  # if it is None
OTHER_EXPERIMENT = (
    ". ELECTRA's configs/model/*.yaml go with --experiment=electra/pretraining, others with bert/pretraining"
)
ONLY_DYNAMIC = (
    "goes with training data and run_pretraining.py --experiment=bert/pretraining_dynamic. Others take "
    "configs/data/wikipedia.yaml"
)


def parse_parameters(args: argparse.Namespace) -> "ExperimentConfig":
    """Return what --experiment, --config_file and --params_override describe. Raise ValueError for a mistake."""
    from official.core import exp_factory, train_utils

    try:
        defaults = exp_factory.get_exp_config(args.experiment)
    except LookupError:
        raise ValueError(f"--experiment {args.experiment}: no such experiment. See --help") from None
    for source, values in read_sources(args):
        check_parameters(source, values, defaults)
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


def read_sources(args: argparse.Namespace) -> Iterator[tuple[str, Mapping]]:
    """Yield what each --config_file and --params_override sets, with its name for messages. Later ones win."""
    for flag in ("config_file", "params_override"):
        value = getattr(args, flag) or []
        for text in [value] if isinstance(value, str) else value:
            source = "--params_override" if value is text else f"--config_file {text}"
            yield source, read_parameters(f"--{flag}", text)


def read_parameters(flag: str, text: str) -> Mapping:
    """Return the parameters of a YAML file, or of `name=value,...`, as Model Garden reads them."""
    from yaml import YAMLError

    inline, name = _as_yaml(text) or text, flag
    try:
        found = _load(inline)
        if isinstance(found, dict):
            return found
        name = f"{flag} {text}"
        inline = _text_of(name, text)
        found = _load(inline)
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


def _load(text: str) -> object:
    import yaml

    class Loader(yaml.SafeLoader):
        """SafeLoader, for which 1e-4 is a number."""

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))
    return yaml.load(text, Loader)


def _as_yaml(text: str) -> str | None:
    """Return `a.b=1,c=x` as a YAML mapping, `{a : {b : 1}, c : x}`, or None if it is no such text."""
    tree: dict = {}
    position = 0
    while position < len(text):
        found = ASSIGNMENT.match(text, position)
        if not found:
            return None
        *parents, name = found[1].split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[name] = f"'{found[2]}'" if found[2][:1] in tuple("gs:/") else found[2]  # gs://... is no mapping
        position = found.end()
    return _as_mapping(tree)


def _as_mapping(tree: Mapping) -> str:
    items = (f"{name} : {value if isinstance(value, str) else _as_mapping(value)}" for name, value in tree.items())
    return f"{{{', '.join(items)}}}"


def _text_of(name: str, path: str) -> str:
    try:
        with open_file(path) as file:
            return file.read().decode("utf-8")
    except FileNotFoundError:
        raise ValueError(f"{name}: no such file. Expected a YAML file or name=value,...") from None
    except IsADirectoryError:
        raise ValueError(f"{name}: is a directory. Expected a YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: cannot be read as text. {' '.join(str(error).split())}") from None


def check_parameters(source: str, values: Mapping, defaults: Section) -> None:
    """Raise ValueError for the first parameter that does not exist, or whose value is of another kind."""
    for path, value, section in _walk(values, defaults):
        parent, _, name = path.rpartition(".")
        known = _known_in(section)
        if name not in known:
            if name == "seq_bucket_lengths":
                raise ValueError(f"{source}: {path} {ONLY_DYNAMIC}")
            hint = OTHER_EXPERIMENT if "PretrainerConfig" in type(section).__name__ else ""
            raise ValueError(f"{source}: no parameter {path}{_near(parent, name, known, defaults) or hint}")
        expected = known[name]
        is_section = isinstance(expected, dict)
        is_number = isinstance(expected, int | float) or name in NUMBERS_WITHOUT_DEFAULT
        is_other_kind = isinstance(value, str | list) or (value is None and expected is not None and name != ENDLESS)
        if (is_section and not isinstance(value, Mapping | None)) or (is_number and is_other_kind):
            kinds = {dict: "a section, name: value", bool: "true or false"}
            raise ValueError(f"{source}: {path} is {value!r}. Expected {kinds.get(type(expected), 'a number')}")


def _known_in(section: Section) -> dict[str, object]:
    """Return the parameters of a section. One that chooses by `type` shows only the chosen one: add the others."""
    others: dict[str, object] = (
        {field.name: {} for field in dataclasses.fields(section)} if "type" in section.as_dict() else {}
    )
    return {**others, **section.as_dict()}


def _walk(values: Mapping, section: Section, parent: str = "") -> Iterator[tuple[str, object, Section]]:
    """Yield the path of each parameter, its value, and the section of the configuration where it should be."""
    for name, value in values.items():
        yield f"{parent}{name}", value, section
        inner = getattr(section, str(name), None)
        if isinstance(value, Mapping) and hasattr(inner, "as_dict"):
            yield from _walk(value, inner, f"{parent}{name}.")


def _near(parent: str, name: str, known: Mapping, defaults: Section) -> str:
    """Return a question with the parameter that may be meant: this name elsewhere, or a near one here."""
    paths = [path for path, _, _ in _walk(defaults.as_dict(), defaults) if path.rpartition(".")[2] == name]
    prefix = f"{parent}." if parent else ""
    near = difflib.get_close_matches(f"{prefix}{name}", paths, 1, cutoff=0)
    near = near or [f"{prefix}{found}" for found in difflib.get_close_matches(name, known, 1)]
    return f". Did you mean {near[0]}?" if near else ""


def leaves(tree: Mapping, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the parameters that are no sections, with their full names."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
