"""A SentencePiece model (`spiece.model`): text -> ids, as Google's ALBERT has them.

The text loses its combining marks and is lower-cased, where asked. Then the model cuts it. A comma after a digit is a
token of its own, as in Google's code, in Model Garden and in Transformers 4. Transformers 5 leaves this rule out. A
literal `[MASK]` in the text is text.
"""

from functools import cached_property
from pathlib import Path

from japanese_bert.tokenization.vocab import CLS, MASK, PAD, SEP, UNK, Vocab
from japanese_bert.tokenization.words import LOWER, WordSplitter, drop_marks

SPACE = "▁"  # in a piece, for a space before it
# The first pieces of ALBERT's models, and the names that they have here.
SPECIAL_PIECES = {"<pad>": PAD, "<unk>": UNK, CLS: CLS, SEP: SEP, MASK: MASK}
ADVICE = (
    "Expected a SentencePiece model of ALBERT. Train one with --pad_id=0 --unk_id=1 --bos_id=-1 --eos_id=-1 "
    "--control_symbols=[CLS],[SEP],[MASK]"
)


class SentencePieceWords(WordSplitter):
    """Text cut by a SentencePiece model. A word is the ids of its tokens as text, such as `"12 57"`.

    The words are for whole word masking, as ALBERT's code makes them: a token that is only Latin letters continues a
    word, every other token begins one. So in Japanese each token is a word.
    """

    dictionary = None

    def __init__(self, spm_file: Path, do_lower_case: bool, strip_accents: bool) -> None:
        self.spm_file = spm_file
        self.do_lower_case = do_lower_case
        self.strip_accents = strip_accents

    @cached_property
    def _model(self):
        return load_model(self.spm_file)

    def split(self, text: str) -> list[str]:
        words: list[str] = []
        for piece in self.pieces(text):
            index = self._model.piece_to_id(piece)
            if self._model.is_control(index):  # unknown characters that spell <pad>
                index = self._model.unk_id()
            if not words or begins_word(piece):
                words.append(str(index))
            else:
                words[-1] += f" {index}"
        return words

    def pieces(self, text: str) -> list[str]:
        """Return the tokens: `"A dog, 1,000"` -> `["▁a", "▁dog", ",", "▁1", ",", "000"]`."""
        text = " ".join(text.split()).replace("``", '"').replace("''", '"')
        text = drop_marks(text, "NFKD") if self.strip_accents else text
        text = text.translate(LOWER) if self.do_lower_case else text
        pieces = self._model.encode(text, out_type=str)
        return [part for piece in pieces for part in self._without_comma(piece)]

    def _without_comma(self, piece: str) -> list[str]:
        """Return the pieces of `1,`: those of `1`, and the comma."""
        if len(piece) < 2 or piece[-1] != "," or not piece[-2].isdigit():
            return [piece]
        parts = self._model.encode(piece[:-1].replace(SPACE, ""), out_type=str)
        if not piece.startswith(SPACE) and parts[0].startswith(SPACE):
            parts = [part for part in (parts[0].removeprefix(SPACE), *parts[1:]) if part]
        return [*parts, ","]


def begins_word(piece: str) -> bool:
    """Return True unless the piece is only Latin letters, which continue a word: `"▁play"`, `"ing"`."""
    return not (piece.isascii() and piece.isalpha())


def read_ids(word: str) -> list[int]:
    """Return the ids of a word of `SentencePieceWords`."""
    return [int(index) for index in word.split()]


def load_model(spm_file: Path):
    """Return the library's processor of a model.

    Raises:
        ValueError: this is no SentencePiece model.
    """
    try:
        import sentencepiece
    except ImportError:
        raise ImportError("the package sentencepiece is missing. Install it: pip install sentencepiece") from None
    if not spm_file.is_file():
        raise FileNotFoundError(f"--spm_file {spm_file}: no such file. {ADVICE}")
    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(spm_file))
    except (RuntimeError, OSError):
        raise ValueError(f"--spm_file {spm_file}: no SentencePiece model. {ADVICE}") from None


def load_spm_vocab(spm_file: Path) -> Vocab:
    """Return the pieces of a model by their ids. `<pad>` and `<unk>` have BERT's names.

    Raises:
        ValueError: the model has no piece for one of BERT's special tokens.
    """
    model = load_model(spm_file)
    tokens = [model.id_to_piece(index) for index in range(len(model))]
    missing = [piece for piece in SPECIAL_PIECES if piece not in tokens]
    if missing:
        raise ValueError(f"--spm_file {spm_file}: has no piece {', '.join(missing)}. {ADVICE}")
    tokens = [SPECIAL_PIECES.get(token, token) for token in tokens]
    return Vocab(tuple(tokens), {token: index for index, token in enumerate(tokens)})
