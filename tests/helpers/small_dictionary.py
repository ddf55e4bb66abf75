"""Small MeCab dictionaries, compiled in tests."""

import subprocess
import sys
from pathlib import Path

LEX = ["山", '"""', '","', "山川", "㎏", "ｶﾞｱ", "　", "が", "パ", "１", "々", "Tシャツ", "\u200b", "#", "〜"]
SURFACES = {"山", '"', ",", "山川", "㎏", "ｶﾞｱ", "　", "が", "パ", "１", "々", "Tシャツ", "\u200b", "#", "〜"}


def write_source(directory: Path) -> Path:
    """Write the source of a small dictionary, with every surface twice."""
    quoted = ['""""' if surface == '"""' else surface for surface in LEX]
    files = {
        "lex.csv": "".join(f"{surface},0,0,{cost},名詞\n" for cost in (1, 2) for surface in quoted),
        "matrix.def": "1 1\n0 0 0\n",
        "char.def": "DEFAULT 0 1 0\nSPACE 0 1 0\n0x0020 SPACE\n",
        "unk.def": "DEFAULT,0,0,1,*\nSPACE,0,0,1,*\n",
        "pos-id.def": "",
        "dicrc": "cost-factor = 800\nbos-feature = BOS\n",
    }
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8", newline="\n")
    return directory


def compile_dictionary(source: Path, output: Path, charset: str) -> Path:
    output.mkdir()
    build_dictionary("-d", source, "-o", output, charset=charset)
    return output


def write_user_dictionary(source: Path, path: Path, surface: str) -> Path:
    """Compile a user dictionary of one word for the dictionary that `source` compiles to."""
    path.with_suffix(".csv").write_text(f"{surface},0,0,1,名詞\n", encoding="utf-8", newline="\n")
    build_dictionary("-d", source, "-u", path, path.with_suffix(".csv"))
    return path


def build_dictionary(*arguments: object, charset: str = "utf8") -> None:
    command = [Path(sys.executable).with_name("fugashi-build-dict"), "-f", "utf8", "-t", charset, *arguments]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
