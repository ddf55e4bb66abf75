"""MeCab alone: read cleaned texts, one per line, and pass each to MeCab. The output is not used.

`--format default` is MeCab's usual output with the entire part of speech, as from `tagger.parse`. `kinds` has only the
field of the part of speech that marks a full stop. `contexts` is the short output of make_corpus_wiki.py.
"""

import argparse
from pathlib import Path

import fugashi
import unidic_lite

FORMATS = {
    "default": "",
    "kinds": r'-O "" -F "\n%f[1]\t%pe" -U "\n%f[1]\t%pe\t%m" -E "\n"',
    "contexts": r'-O "" -F "\n%phl\t%pe" -U "\n%phl\t%pe\t%m" -E "\n"',
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input_file", type=Path, required=True)
    parser.add_argument("--format", choices=list(FORMATS), required=True)
    args = parser.parse_args()
    directory = unidic_lite.DICDIR
    tagger = fugashi.GenericTagger(f'-r "{directory}/mecabrc" -d "{directory}" {FORMATS[args.format]}')
    with open(args.input_file, encoding="utf-8", newline="\n") as file:
        for line in file:
            tagger.parse(line[:-1])


if __name__ == "__main__":
    main()
