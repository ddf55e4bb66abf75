"""Fonts for pictures whose names are Japanese. Matplotlib's own font has no Japanese: it draws boxes."""

import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

FONTS = "Noto Sans CJK JP,Noto Sans JP,IPAexGothic,IPAGothic,TakaoGothic,VL Gothic,Hiragino Sans,Yu Gothic,Meiryo"
PACKAGE = "matplotlib_fontja"  # has IPAexGothic. Its import would change more than the font, so only its file is used.


def use_fonts_for(names: Iterable[str]) -> str:
    """Let matplotlib draw names with a Japanese font if they need one. Return what is missing, or an empty text.

    A `$` in a name begins no formula.
    """
    from matplotlib import font_manager, rcParams

    rcParams["text.parse_math"] = False

    if all(name.isascii() for name in names):
        return ""
    package = find_spec(PACKAGE)
    if package and package.origin:
        for path in Path(package.origin).parent.glob("fonts/*.ttf"):
            font_manager.fontManager.addfont(path)
    installed = {font.name for font in font_manager.fontManager.ttflist}
    found = [name for name in FONTS.split(",") if name in installed][:1]
    rcParams["font.family"] = ["DejaVu Sans", *found]
    if found:
        return ""
    warnings.filterwarnings("ignore", message="Glyph .* missing from font")
    return (
        "the picture has boxes instead of Japanese, because no Japanese font is installed. Install one: "
        "pip install matplotlib-fontja, or apt-get install fonts-noto-cjk"
    )
