"""JSON that other programs or users wrote: read, or refused in one line that names its file."""

import json
from pathlib import Path
from typing import Any


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. A byte order mark before it is dropped.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not JSON, is nested too deeply, or holds no object.
    """
    value = parse_json(path.read_bytes(), str(path))
    if not isinstance(value, dict):
        raise ValueError(f"{path}: is a JSON {type(value).__name__}, expected an object {{...}}")
    return value


def parse_json(text: bytes | str, source: str) -> Any:
    """Return the value of a JSON text. `source` names it in messages, such as `data.jsonl:3`.

    Raises:
        ValueError: it is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text)  # of bytes it drops a byte order mark
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source}: not JSON ({error})") from None
