"""Lines of Japanese, Chinese, English, accents and emoji, and small tokenizers of them. Nothing here is a test."""

import io
import json
import random
from pathlib import Path

from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, vocab_bytes

SENTENCES = [
    "吾輩は猫である。名前はまだ無い。",
    "『銀河鉄道の夜』は、ｶﾞﾗｽとパンの話？（１９３４年）",
    "がぎぐ ざじず パピプ、か\u3099き\u3099",  # composed and not
    "北京是中国的首都，人口两千一百八十九万。",
    "我们在图书馆里看书；你呢？「龍」與「龙」、𠮷𪚥",
    "The quick brown fox jumps over the lazy dog's back, isn't it?",
    "In 1998 about 21500 people paid $3.50 (or €4) for playing football.",
    "Café Noël, naïve façade à la carte; Ångström, Łódź, İstanbul, Σίσυφος",
    "Müßiggang: Straße, Köln, e\u0301te\u0301, Việt Nam, ЁЖИК",
    "😀👍🏽 👨‍👩‍👧 ☀️ 🇯🇵 ❤️‍🔥 ok",
    "`code` and ``quotes'' ^_^ a\u00a0b\u3000c\u200bd\ttab ＡＢＣ ①㎏ﬁ",
    "",
]


def mixed_lines(count: int, real: list[str], seed: int = 0) -> list[str]:
    """Return lines of pieces of several sentences, half of them of real text if there is some."""
    rng = random.Random(seed)
    lines = []
    for _ in range(count):
        parts = [rng.choice(real if real and rng.random() < 0.5 else SENTENCES) for _ in range(rng.randrange(1, 4))]
        cuts = [rng.randrange(len(part) + 1) for part in parts]
        lines.append(rng.choice(["", " "]).join(part[cut:] or part for part, cut in zip(parts, cuts, strict=True)))
    return lines


def write_bert(directory: Path, lines: list[str], **settings) -> Path:
    """Write vocab.txt and tokenizer_config.json of a `BertTokenizer`, with the special tokens where Google has them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer(lowercase=settings["do_lower_case"])
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trained.train_from_iterator(
        lines,
        trainers.WordPieceTrainer(
            vocab_size=4000, limit_alphabet=int(0.6 * len(set("".join(lines)))), show_progress=False
        ),
    )
    tokens = [
        "[PAD]",
        *(f"[unused{number}]" for number in range(99)),
        *SPECIAL_TOKENS[1:],
        *sorted(trained.get_vocab()),
    ]
    directory.mkdir()
    (directory / "vocab.txt").write_bytes(vocab_bytes(dict.fromkeys(tokens)))
    config = {"tokenizer_class": "BertTokenizer", **settings}
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory


def write_albert(directory: Path, lines: list[str], **settings) -> Path:
    """Write spiece.model and tokenizer_config.json of an `AlbertTokenizer`. Each digit is a token, without a comma."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=4000,
        character_coverage=0.99,
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        split_digits=settings.pop("split_digits", True),
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    directory.mkdir()
    (directory / "spiece.model").write_bytes(model.getvalue())
    config = {"tokenizer_class": "AlbertTokenizer", **settings}
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory
