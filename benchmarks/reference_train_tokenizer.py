"""The plain way to train the vocabulary: `tokenizers` calls MeCab for every sentence, in one process.

It does the same as the published trainers of Japanese BERTs:

- NFKC and strip by the normalizers of the library.
- A Python pre-tokenizer in `PreTokenizer.custom`. It runs a fugashi `GenericTagger` on each sentence
  (`PreTokenizedString.split`). It finds each surface in the sentence after the one before, and cuts it out of the
  `NormalizedString`.
- `Tokenizer.train` on the file, with BERT's special tokens.

Transformers' `MecabTokenizer` makes the same words with the same tagger. Those trainers leave `TOKENIZERS_PARALLELISM`
as it is (threads then wait for Python's interpreter lock), or set it to `false`, as some of their READMEs say.
Used by bench_train_tokenizer.py only.
"""

import argparse
import sys
from pathlib import Path

import fugashi
import unidic_lite
from tokenizers import NormalizedString, PreTokenizedString, Tokenizer, models, normalizers, pre_tokenizers, trainers

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from japanese_bert.tokenization.alphabet import load_alphabet
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, unused_tokens, vocab_bytes


class MecabPreTokenizer:
    def __init__(self) -> None:
        self._tagger = fugashi.GenericTagger(f'-d "{unidic_lite.DICDIR}" -r "{unidic_lite.DICDIR}/mecabrc"')

    def pre_tokenize(self, text: PreTokenizedString) -> None:
        text.split(self._split)

    def _split(self, index: int, sentence: NormalizedString) -> list[NormalizedString]:
        text, position, words = str(sentence), 0, []
        for node in self._tagger(text):
            start = text.index(node.surface, position)
            position = start + len(node.surface)
            words.append(sentence[start:position])
        return words


def main(args: argparse.Namespace) -> None:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(MecabPreTokenizer())
    alphabet = load_alphabet(args.initial_alphabet_file)
    trainer = trainers.WordPieceTrainer(
        vocab_size=args.vocab_size,
        min_frequency=2,
        limit_alphabet=len(alphabet),
        initial_alphabet=alphabet,
        special_tokens=[*SPECIAL_TOKENS, *unused_tokens(10)],
        show_progress=False,
    )
    tokenizer.train([str(args.input_file)], trainer)
    ids = tokenizer.get_vocab(with_added_tokens=False)
    args.output_dir.mkdir(parents=True)
    (args.output_dir / "vocab.txt").write_bytes(vocab_bytes(sorted(ids, key=ids.__getitem__)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input_file", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--initial_alphabet_file", type=Path, required=True)
    parser.add_argument("--vocab_size", type=int, default=32768)
    main(parser.parse_args())
