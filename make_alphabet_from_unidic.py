"""UniDic (or another MeCab dictionary) -> the alphabet of the vocabulary, one character per line.

The alphabet is the NFKC form of every character of every surface, if this form is one printable character. UniDic 2.1.2
gives 7,012 characters, both from its source (`--lex_file`) and compiled (`--mecab_dic_type unidic_lite`).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from japanese_bert.common import command_line
from japanese_bert.common.output_files import open_outputs
from japanese_bert.common.provenance import InputFiles, Provenance, skip_if_complete
from japanese_bert.common.report import Stopwatch, print_summary
from japanese_bert.tokenization import alphabet, mecab, vocab


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], formatter_class=command_line.HelpFormatter)
    source = parser.add_argument_group("input (one of)").add_mutually_exclusive_group(required=True)
    source.add_argument("--lex_file", type=Path, help="lex.csv of a dictionary's source, UTF-8")
    source.add_argument("--mecab_dic_type", choices=sorted(mecab.DICTIONARY_PACKAGES), help="an installed dictionary")
    source.add_argument("--dictionary_dir", type=Path, help="directory of a compiled dictionary")
    output = parser.add_argument_group("output")
    output.add_argument("--output_file", type=Path, required=True, help="text, one character per line")
    command_line.add_run_arguments(parser, num_workers=False)
    return parser


def main(args: argparse.Namespace) -> None:
    watch = Stopwatch()
    source, dictionary, surfaces = find_surfaces(args)
    provenance = Provenance(
        stage="make_alphabet_from_unidic",
        method={},
        inputs=InputFiles(lexicon=[source]),
        arguments=vars(args),
        dictionary=dictionary.identity() if dictionary else None,
    )
    if skip_if_complete(provenance, [args.output_file]):
        return
    with open_outputs([args.output_file], provenance, args.overwrite) as (output,):
        num_surfaces, characters = alphabet.collect_characters(surfaces)
        kept = alphabet.make_alphabet(characters)
        if not kept:
            raise ValueError(f"{source}: no surface with a printable character. Expected a dictionary of Japanese")
        output.write(vocab.vocab_bytes(kept))
        dropped = len(characters) - len(kept)
        counts = {"surfaces": num_surfaces, "distinct_characters": len(characters), "alphabet": len(kept)}
        provenance.report.update(counts=counts, dropped={"merged_by_nfkc_or_not_one_printable": dropped})
        provenance.report.update(watch.measurements())
    print_summary(f"{args.output_file}:", {**counts, **watch.measurements()})


def find_surfaces(args: argparse.Namespace) -> tuple[Path, mecab.Dictionary | None, Iterator[str]]:
    """Return the file with the surfaces, its dictionary if it is compiled, and the surfaces, which are not read yet."""
    if args.lex_file is None:
        from japanese_bert.tokenization.dictionary_file import iter_surfaces

        by_name = args.mecab_dic_type is not None
        dictionary = mecab.find_dictionary(args.mecab_dic_type) if by_name else mecab.dictionary_in(args.dictionary_dir)
        path = dictionary.directory / "sys.dic"
        return path, dictionary, iter_surfaces(path)
    if not args.lex_file.is_file():
        raise FileNotFoundError(
            f"{args.lex_file}: no such file. Unpack the source of UniDic, or use --mecab_dic_type unidic_lite"
        )
    return args.lex_file, None, alphabet.iter_lex_surfaces(args.lex_file)


if __name__ == "__main__":
    command_line.run_stage(get_parser(), main)
