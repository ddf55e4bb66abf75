"""Options from a file, and missing packages."""

import sys

import pytest

from japanese_bert.cluster.settings import construct, load_package, read_options


@pytest.mark.parametrize("package", ["dask", "distributed", "dask_jobqueue", "yaml"])
def test_a_missing_package(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"{package} is not installed. Run `./install.sh cluster`"):
        load_package(package)


def test_no_options():
    assert read_options(None) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [("- queue", "options.yaml: expected lines such as 'queue: gpu'"), ("queue: [", "options.yaml: while parsing")],
)
def test_options_that_are_no_mapping(tmp_path, text, message):
    (tmp_path / "options.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        read_options(tmp_path / "options.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['touch ran']", "!!python/name:os.system"])
def test_a_file_of_options_runs_no_code_by_itself(tmp_path, monkeypatch, tag):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "options.yaml").write_text(f"queue: {tag}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="could not determine a constructor"):
        read_options(tmp_path / "options.yaml")
    assert not (tmp_path / "ran").exists()


def test_aliases_that_would_fill_the_memory(tmp_path):
    """Ten lists of ten times the one before: small as objects, 10 GB as text, which the message must not have."""
    lines = ["- &a0 [x]", *(f"- &a{level + 1} [{', '.join([f'*a{level}'] * 10)}]" for level in range(10))]
    (tmp_path / "options.yaml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match="found list"):
        read_options(tmp_path / "options.yaml")


def test_an_unknown_option():
    def make(workers: int) -> int:
        return workers

    assert construct(make, {"workers": 3}) == 3
    with pytest.raises(ValueError, match=r"--scheduler_options: .*unexpected keyword argument 'wrokers'"):
        construct(make, {"wrokers": 3})
