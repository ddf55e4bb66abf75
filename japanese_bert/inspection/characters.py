"""Characters: the script of each one, and the signs of text that was decoded with a wrong encoding."""

import unicodedata

SCRIPTS = ("kanji", "hiragana", "katakana", "Latin", "digits", "other")
KANJI = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF), (0x3005, 0x3007))
HIRAGANA = ((0x3041, 0x309F),)
KATAKANA = ((0x30A0, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F))
# UTF-8 that was read as Shift_JIS or Windows-1252 is full of these, because kana begin with the bytes E3 81 to E3 83.
# Real text has them rarely. The first one replaces what no decoder understands.
WRONG_ENCODING = "\ufffd縺繧繝ãÃâƒ‚"
WRONG_SHARE = 0.2  # of the characters of a line, or of the tokens of an instance


def script_of(character: str) -> str:
    """Return one of SCRIPTS."""
    code = ord(character)
    for script, ranges in (("kanji", KANJI), ("hiragana", HIRAGANA), ("katakana", KATAKANA)):
        if any(first <= code <= last for first, last in ranges):
            return script
    if character.isdigit():
        return "digits"
    return "Latin" if unicodedata.name(character, "").startswith(("LATIN ", "FULLWIDTH LATIN ")) else "other"


def is_invisible(character: str) -> bool:
    """Return True for white space, control and format characters, which no tokenizer keeps."""
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co", "Cs")
