"""Pictures with Japanese names."""

import sys
from types import SimpleNamespace

import pytest
from matplotlib import font_manager, pyplot, rcParams

from japanese_bert.common import plot_fonts


@pytest.fixture(autouse=True)
def _keep_settings():
    before = rcParams["font.family"]
    yield
    rcParams["font.family"] = before


def install(monkeypatch, *names: str) -> None:
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [SimpleNamespace(name=name) for name in names])
    monkeypatch.setattr(plot_fonts, "find_spec", lambda name: None)


def test_the_first_japanese_font_completes_the_usual_one(monkeypatch):
    install(monkeypatch, "DejaVu Sans", "TakaoGothic", "IPAexGothic")
    assert plot_fonts.use_fonts_for(["a", "単語"]) == ""
    assert rcParams["font.family"] == ["DejaVu Sans", "IPAexGothic"]


def test_names_that_need_none_change_nothing(monkeypatch):
    install(monkeypatch, "TakaoGothic")
    before = rcParams["font.family"]
    assert plot_fonts.use_fonts_for(["a", "b"]) == ""
    assert rcParams["font.family"] == before


def test_no_font_is_one_line_with_a_remedy(monkeypatch):
    install(monkeypatch, "DejaVu Sans")
    message = plot_fonts.use_fonts_for(["単語"])
    assert "pip install matplotlib-fontja" in message
    assert "\n" not in message


def test_the_font_of_the_package_is_used_without_its_import(monkeypatch, tmp_path):
    (tmp_path / "fonts").mkdir()
    (tmp_path / "fonts" / "ipaexg.ttf").touch()
    install(monkeypatch)
    monkeypatch.setattr(plot_fonts, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    added = []
    monkeypatch.setattr(font_manager.fontManager, "addfont", added.append)
    plot_fonts.use_fonts_for(["単語"])
    assert added == [tmp_path / "fonts" / "ipaexg.ttf"]
    assert plot_fonts.PACKAGE not in sys.modules


def test_the_font_of_the_requirements_has_japanese(tmp_path):
    """A missing glyph is a warning, and warnings are errors here."""
    assert plot_fonts.use_fonts_for(["単語"]) == ""
    figure = pyplot.figure()
    figure.suptitle("医療の単語モデル")
    figure.savefig(tmp_path / "title.png")
    pyplot.close(figure)
