"""JSON files of other programs, and files that only claim to be JSON."""

import pytest

from japanese_bert.common.json_files import read_json_object


def test_an_object(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('\ufeff{"名": 1}\n', encoding="utf-8")
    assert read_json_object(path) == {"名": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", r"is a JSON list, expected an object \{...\}"),
    ],
)
def test_what_is_refused(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.json: {message}"):
        read_json_object(tmp_path / "a.json")
