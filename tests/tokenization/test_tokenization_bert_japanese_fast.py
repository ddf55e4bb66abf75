"""The fast tokenizer: ids of the slow one and of the data, and offsets that select the right characters."""

import copy
import dataclasses
import gzip
import hashlib
import itertools
import json
import multiprocessing
import pickle
import random
import shutil
import unicodedata
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from japanese_bert.common.text_files import read_blocks
from japanese_bert.tokenization import tokenizer_directory
from japanese_bert.tokenization.mecab import DICTIONARY_PACKAGES as PACKAGES_OF_DATA
from japanese_bert.tokenization.mecab import find_dictionary
from japanese_bert.tokenization.tokenization_bert_japanese_fast import (
    DICTIONARY_PACKAGES,
    MODULE_FILE,
    BertJapaneseTokenizerFast,
    MecabSplitter,
    _SubwordTokens,
    align,
    auto_map,
)
from japanese_bert.tokenization.vocab import SPECIAL_TOKENS, load_vocab, unused_tokens, vocab_bytes
from japanese_bert.tokenization.words import MAX_MECAB_CHARACTERS, make_word_splitter
from tests.helpers.places import ROOT
from tests.pretraining_data.test_exactness import EDGE_SENTENCES

MODULE = ROOT / "japanese_bert" / "tokenization" / "tokenization_bert_japanese_fast.py"
SUBWORDS = ("wordpiece", "character")
CHARACTERS = " ()+,-.0123456789?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_its_bytes_are_part_of_every_model_directory():
    """After a change conversion makes other directories, and check_tokenizer refuses the code of all older ones."""
    digest = hashlib.sha256(MODULE.read_bytes()).hexdigest()
    assert digest == "bb4ba445d2723bfb62cfa90f40b00cfca170ecfaf6c45b3aca8e6c37d3edac4d"


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    """The sample text of this project."""
    text = b"".join(read_blocks(ROOT / "sample_data" / "cc100_sample.txt.xz")).decode("utf-8")
    return [line for line in text.split("\n") if line.strip()]


@pytest.fixture(scope="module")
def directories(tmp_path_factory, sentences) -> dict[str, Path]:
    """A model directory of each kind, made by copying alone; the commonest words of the sample text are whole."""
    splitter = make_word_splitter("mecab", "unidic_lite", do_lower_case=False)
    words = Counter(itertools.chain.from_iterable(map(splitter.split, sentences)))
    characters = sorted(set("".join(words)) | set(CHARACTERS))
    fixed = [*SPECIAL_TOKENS, *unused_tokens(10), *characters]
    common = [word for word, _ in words.most_common(2000) if len(word) > 1]
    tokens = {"wordpiece": [*fixed, *(f"##{character}" for character in characters), *common], "character": fixed}
    found = {}
    for name in SUBWORDS:
        found[name] = tmp_path_factory.mktemp("model") / f"bert_{name}"
        shutil.copytree(ROOT / "hf_model_configs" / f"bert_base_{name}", found[name])
        (found[name] / "config.json").unlink()
        (found[name] / "vocab.txt").write_bytes(vocab_bytes(tokens[name]))
    return found


@pytest.fixture(params=SUBWORDS)
def directory(request, directories) -> Path:
    return directories[request.param]


@pytest.fixture
def fast(directory) -> BertJapaneseTokenizerFast:
    return BertJapaneseTokenizerFast.from_pretrained(directory)


@pytest.fixture
def slow(directory):
    from transformers import BertJapaneseTokenizer

    return BertJapaneseTokenizer.from_pretrained(directory)


def engine(directory: Path):
    """A sentence -> its ids as data creation makes them."""
    settings = tokenizer_directory.load_settings(directory / "tokenizer_config.json")
    return tokenizer_directory.make_encoder(settings, load_vocab(directory / "vocab.txt"))


def selections(tokenizer, text: str) -> list[tuple[str, str]]:
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    return [
        (token, text[start:end])
        for token, (start, end) in zip(encoded.tokens(), encoded["offset_mapping"], strict=True)
    ]


def assert_offsets_are_right(tokenizer, text: str) -> int:
    """Check every token of `text`; the number of tokens that are a part of what one character became.

    What a token points to is, after NFKC, the token (without `##`), or several characters that one (`℃`, `…`)
    became, the token among them. Begins and ends never go back. Only white space is in no token.
    """
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    covered, previous, num_parts = set(), (0, 0), 0
    for token, (start, end) in zip(encoded.tokens(), encoded["offset_mapping"], strict=True):
        assert 0 <= start < end <= len(text)
        assert start >= previous[0] and end >= previous[1], (text, token)
        covered.update(range(start, end))
        previous = (start, end)
        characters = token.removeprefix("##") if len(token) > 2 else token
        normalized = unicodedata.normalize("NFKC", text[start:end])
        if token != "[UNK]" and normalized != characters:
            num_parts += 1
            assert characters in normalized, (text, token)
            ends_in_parts = (text[start], text[end - 1])
            assert any(len(unicodedata.normalize("NFKC", part)) > 1 for part in ends_in_parts), (text, token)
    assert all(text[index].isspace() for index in set(range(len(text))) - covered), text
    return num_parts


def test_offsets_select_what_tokens_come_from(directories):
    """With unidic-lite: ガラス, kg, ( 株 ) and 料理 are words."""
    text = "ｶﾞﾗｽの５㎏　㈱料理か\u3099"
    expected = ["ｶﾞ", "ﾗ", "ｽ", "の", "５", "㎏", "㎏", "㈱", "㈱", "㈱", "料", "理", "か\u3099"]
    tokens = ["ガ", "ラ", "ス", "の", "5", "k", "g", "(", "株", ")", "料", "理", "が"]
    character = BertJapaneseTokenizerFast.from_pretrained(directories["character"])
    assert selections(character, text) == list(zip(tokens, expected, strict=True))
    wordpiece = BertJapaneseTokenizerFast.from_pretrained(directories["wordpiece"])
    assert ("ガラス", "ｶﾞﾗｽ") in selections(wordpiece, text)
    assert selections(wordpiece, "㎎") == [("m", "㎎"), ("##g", "㎎")]
    assert ("料理", "料理") in selections(wordpiece, text)


def test_same_ids_as_slow_tokenizer_and_data(directory, fast, slow, sentences):
    sentences = [*sentences, *EDGE_SENTENCES, "", "　 "]
    encode = engine(directory)
    assert len(sentences) > 500
    for sentence, ids in zip(sentences, fast(sentences)["input_ids"], strict=True):
        assert ids == slow(sentence)["input_ids"] == encode(sentence), sentence
        assert fast.decode(ids) == slow.decode(ids)
        assert fast.decode(ids, skip_special_tokens=True) == slow.decode(ids, skip_special_tokens=True)


def test_same_segments_special_tokens_and_padding(fast, slow, sentences):
    first, second = sentences[:40], [*sentences[40:78], "[MASK]は[SEP]と[UNK]", "東京[MASK] [CLS]"]
    for arguments in ({}, {"padding": True}, {"padding": "max_length", "max_length": 500, "pad_to_multiple_of": 8}):
        assert dict(fast(second, **arguments)) == dict(slow(second, **arguments))
        assert dict(fast(first, second, **arguments)) == dict(slow(first, second, **arguments))
    assert "[MASK]" in fast.tokenize("東京[MASK]")
    assert fast.tokenize("東京[MASK]", split_special_tokens=True).count("[MASK]") == 0


@pytest.mark.parametrize("truncation", ["only_first", "only_second", True])
def test_same_truncation(fast, slow, sentences, truncation):
    """The longer of two is cut first; where both must be cut, slow and fast tokenizers of any model differ by one."""
    long, short = sentences[1] * 3, sentences[0][:5]
    texts = (short, long) if truncation == "only_second" else (long, short)
    found = fast(*texts, truncation=truncation, max_length=30)
    assert len(found["input_ids"]) == 30
    assert dict(found) == dict(slow(*texts, truncation=truncation, max_length=30))


def test_overflowing_windows(fast, sentences):
    """Question and context, as for SQuAD: windows of the context overlap by the stride, and offsets go on."""
    question, context = "何が起きたか？", "".join(sentences[:10])
    whole = fast(context, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    encoded = fast(
        question,
        context,
        truncation="only_second",
        max_length=64,
        stride=16,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding="max_length",
    )
    windows = []
    for index, offsets in enumerate(encoded["offset_mapping"]):
        assert len(offsets) == 64
        ids = encoded.sequence_ids(index)
        windows.append([offset for offset, sequence in zip(offsets, ids, strict=True) if sequence == 1])
    assert len(windows) > 3
    assert encoded["overflow_to_sample_mapping"] == [0] * len(windows)
    assert windows[0] + [offset for window in windows[1:] for offset in window[16:]] == whole
    assert all(before[-16:] == after[:16] for before, after in itertools.pairwise(windows))


def test_words_and_characters_of_tokens(directories):
    """With unidic-lite: 国会 / 図書 / 館 / へ."""
    tokenizer = BertJapaneseTokenizerFast.from_pretrained(directories["character"])
    encoded = tokenizer("国会図書館へ[MASK]㎏")
    assert encoded.word_ids() == [None, 0, 0, 1, 1, 2, 3, 4, 5, 5, None]
    assert [encoded.char_to_token(index) for index in range(6)] == [1, 2, 3, 4, 5, 6]
    assert encoded.word_to_chars(1) == (2, 4)
    split = tokenizer(["国会図書館", "へ"], is_split_into_words=True)
    assert split.word_ids() == [None, 0, 0, 0, 0, 0, 1, None]


def test_long_sentence_is_cut_before_mecab(directory, fast, sentences):
    text = "".join(itertools.islice(itertools.cycle(sentences), 3000))[: MAX_MECAB_CHARACTERS + 5_000]
    assert len(text) > MAX_MECAB_CHARACTERS
    assert fast(text, verbose=False)["input_ids"] == engine(directory)(text)
    assert_offsets_are_right(fast, text)


@pytest.mark.parametrize(("length", "expected"), [(100, 100), (101, 1)])
def test_a_word_of_more_than_100_characters_is_unknown(length, expected):
    """MeCab of these dictionaries makes none, but as in every BERT."""
    pieces = _SubwordTokens({"[UNK]": 0, "あ": 1, "##あ": 2}, "[UNK]", MecabSplitter(), by_characters=False)
    tokens = pieces.tokens("あ" * length, "あ" * length, 0)
    assert len(tokens) == expected
    assert tokens[-1].offsets[1] == 3 * length


def test_text_after_a_nul_is_kept(directory, fast):
    assert fast("東\0京 猫\0")["input_ids"] == engine(directory)("東京 猫")
    assert "猫" in [selected for _, selected in selections(fast, "東\0京 猫\0")]


def test_lower_case_as_in_data(directory):
    """With unidic-lite: the words are those of the text as given; `İ` becomes two characters, `Σ` one of two."""
    fast = BertJapaneseTokenizerFast.from_pretrained(directory, do_lower_case=True)
    plain = BertJapaneseTokenizerFast.from_pretrained(directory)
    text = "NHKのＰｙｔｈｏｎとİstanbulΣΑΣ"
    settings = tokenizer_directory.load_settings(directory / "tokenizer_config.json")
    lower = dataclasses.replace(settings, do_lower_case=True)
    encode = tokenizer_directory.make_encoder(lower, load_vocab(directory / "vocab.txt"))
    assert fast(text)["input_ids"] == encode(text) != plain(text)["input_ids"]
    assert ("n", "N") in selections(fast, text)
    assert max(end for _, end in fast(text, return_offsets_mapping=True)["offset_mapping"]) == len(text)


def transformed(sentence: str, rng: random.Random) -> str:
    """The sentence in other forms that NFKC brings back: decomposed, half-width, full-width; and with white space."""
    half_width = {unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFF61, 0xFF9E)}
    full_width = {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)}
    voiced = {"\u3099": "ﾞ", "\u309a": "ﾟ"}
    found = []
    for character in sentence:
        if "ぁ" <= character <= "ゔ" and rng.random() < 0.5:
            character = chr(ord(character) + 0x60)  # katakana
        parts = unicodedata.normalize("NFD", character)
        forms = [character, character, parts]
        if parts[0] in half_width:
            forms.append("".join(half_width.get(part, voiced.get(part, part)) for part in parts))
        forms.append(full_width.get(character, character))
        found.append(rng.choice(forms) + rng.choice(["", "", "", "", "　", "㎏", "㍿"]))
    return "".join(found)


def test_offsets_in_forms_that_nfkc_changes(directory, fast, slow, sentences):
    rng = random.Random(0)
    texts = [transformed(sentence, rng) for sentence in sentences[:300]]
    assert sum("ﾞ" in text for text in texts) > 50
    for text, ids in zip(texts, fast(texts)["input_ids"], strict=True):
        assert ids == slow(text)["input_ids"]
        assert_offsets_are_right(fast, text)


@given(
    st.text(st.sampled_from("aéが゛か\u3099\u309aﾞﾟｶﾊ㎏㈱ﷺ\u0301\u0323\u0335각ᄀ\u1161\u11a8 　\0\u0f71\u0f74ẛ\u0344㌀"))
)
def test_alignment(text):
    normalized, starts, ends = align(text)
    assert normalized == unicodedata.normalize("NFKC", text.replace("\0", ""))
    assert len(starts) == len(ends) == len(normalized)
    assert list(starts) == sorted(starts) and list(ends) == sorted(ends)
    for index, character in enumerate(normalized):
        part = text[starts[index] : ends[index]].replace("\0", "")
        assert character in unicodedata.normalize("NFKC", part)
    blocks = dict.fromkeys(zip(starts, ends, strict=True))
    parts = [unicodedata.normalize("NFKC", text[start:end].replace("\0", "")) for start, end in blocks]
    assert "".join(parts) == normalized


def real_sentences(aozora: Path) -> list[str]:
    """5,000 from Wikipedia and 5,000 from Aozora Bunko."""
    dump = next(aozora.parents[1].glob("wikipedia/cirrussearch/*/*.json.gz"))
    with gzip.open(dump, "rt", encoding="utf-8") as lines:
        pages = (page["text"].replace("。", "。\n") for page in map(json.loads, lines) if "text" in page)
        wikipedia = [
            line for page in itertools.islice(pages, 2000) for line in page.split("\n") if 10 <= len(line) <= 200
        ]
    text = next(iter(read_blocks(aozora, block_bytes=4_000_000))).decode("utf-8", errors="ignore")
    literature = [line for line in text.split("\n")[:-1] if line.strip()]
    return wikipedia[:5000] + literature[:: len(literature) // 5000][:5000]


@pytest.mark.parametrize("number", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_offsets_of_real_sentences(aozora, fast, number):
    sentences = real_sentences(aozora)[:: 10_000 // number]
    assert len(sentences) == number
    assert sum(not unicodedata.is_normalized("NFKC", sentence) for sentence in sentences) > number // 10
    num_parts = sum(assert_offsets_are_right(fast, sentence) for sentence in sentences)
    assert number // 20 < num_parts < number // 2  # mostly `…`, which becomes three full stops


@pytest.mark.filterwarnings("ignore")
def test_directory_loads_slow_by_default_and_fast_on_demand(tmp_path, directory, monkeypatch):
    from transformers import AutoTokenizer, BertJapaneseTokenizer

    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path)
    assert type(AutoTokenizer.from_pretrained(directory)) is BertJapaneseTokenizer
    fast = AutoTokenizer.from_pretrained(directory, trust_remote_code=True)
    assert (type(fast).__name__, fast.is_fast) == ("BertJapaneseTokenizerFast", True)
    fast.save_pretrained(tmp_path / "saved")
    for trust, name in ((False, "BertJapaneseTokenizer"), (True, "BertJapaneseTokenizerFast")):
        saved = AutoTokenizer.from_pretrained(tmp_path / "saved", trust_remote_code=trust)
        assert type(saved).__name__ == name
        assert saved("東京の猫")["input_ids"] == fast("東京の猫")["input_ids"]


def test_saved_and_loaded_with_added_tokens(tmp_path, directory, fast):
    from transformers import BertJapaneseTokenizer

    assert fast.add_tokens(["新語彙", "東京"]) >= 1
    fast.add_special_tokens({"additional_special_tokens": ["<実体>"]})
    text = "これは新語彙<実体>東京"
    ids = fast(text)["input_ids"]
    assert max(ids) > len(load_vocab(directory / "vocab.txt"))
    fast.save_pretrained(tmp_path)
    assert (tmp_path / "vocab.txt").read_bytes() == (directory / "vocab.txt").read_bytes()
    assert (tmp_path / MODULE_FILE).read_bytes() == MODULE.read_bytes()
    assert not (tmp_path / "tokenizer.json").exists()
    assert json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))["auto_map"] == auto_map()
    for tokenizer in (BertJapaneseTokenizerFast, BertJapaneseTokenizer):
        loaded = tokenizer.from_pretrained(tmp_path)
        assert loaded(text)["input_ids"] == ids
        assert loaded("日本", "語") == fast("日本", "語")
    fast.save_pretrained(tmp_path)  # once more, over its own files
    assert (tmp_path / MODULE_FILE).read_bytes() == MODULE.read_bytes()


def test_pickled_copied_and_sent_to_processes(fast, sentences):
    fast.add_tokens(["新語彙"])
    text = "新語彙の㈱[MASK]"
    expected = fast(text, return_offsets_mapping=True)
    for twin in (pickle.loads(pickle.dumps(fast)), copy.deepcopy(fast)):
        assert twin(text, return_offsets_mapping=True) == expected
        assert type(twin) is BertJapaneseTokenizerFast
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        found = list(pool.map(fast.encode, sentences[:50], chunksize=10))
    assert found == fast(sentences[:50])["input_ids"]
    assert fast(text, return_offsets_mapping=True) == expected  # it still has its MeCab


def test_attributes_can_be_pickled_and_calls_leave_them(fast):
    """`datasets` pickles the attributes alone. If their bytes were others later, `map` would work again."""
    before = pickle.dumps(vars(fast))
    fast(["東京の猫", "猫"], truncation=True, max_length=4, padding=True)
    assert pickle.dumps(vars(fast)) == before
    fast.add_tokens(["新語彙"])
    assert pickle.dumps(vars(fast)) != before


def test_special_tokens_of_ids(fast, slow):
    """`prepare_for_model` of Transformers 4 calls both."""
    for texts in (["東京の猫"], ["東京の猫", "国会図書館"], ["東京", ""]):
        ids = [fast(text, add_special_tokens=False)["input_ids"] for text in texts]
        expected = {name: rows[0] for name, rows in fast(*([text] for text in texts)).items()}
        assert fast.build_inputs_with_special_tokens(*ids) == expected["input_ids"]
        assert fast.create_token_type_ids_from_sequences(*ids) == expected["token_type_ids"]
        assert slow.build_inputs_with_special_tokens(*ids) == expected["input_ids"]


@pytest.mark.parametrize("mecab_kwargs", [{"mecab_dic": "ipadic"}, "directory", "option"])
def test_other_dictionaries(directory, sentences, mecab_kwargs):
    """With IPADIC, by its package, its directory, and by an option as for a dictionary of the system."""
    ipadic = find_dictionary("ipadic").directory
    if mecab_kwargs == "directory":
        mecab_kwargs = {"mecab_dic": str(ipadic)}
    if mecab_kwargs == "option":
        mecab_kwargs = {"mecab_dic": None, "mecab_option": f"-r /dev/null -d {ipadic}"}
    fast = BertJapaneseTokenizerFast.from_pretrained(directory, mecab_kwargs=mecab_kwargs)
    splitter = make_word_splitter("mecab", "ipadic", do_lower_case=False)
    for text in sentences[:100]:
        words = splitter.split(text)
        assert len(set(fast(text, add_special_tokens=False).word_ids())) == len(words)
    settings = tokenizer_directory.load_settings(directory / "tokenizer_config.json")
    assert settings.mecab_dic == "unidic_lite"
    unidic = BertJapaneseTokenizerFast.from_pretrained(directory)
    assert any(fast.tokenize(text) != unidic.tokenize(text) for text in sentences[:100]) or "character" in str(
        directory
    )


def test_refusals(directory, tmp_path):
    load = BertJapaneseTokenizerFast.from_pretrained
    with pytest.raises(ValueError, match="no fast tokenizer for basic words"):
        load(directory, word_tokenizer_type="basic")
    with pytest.raises(ValueError, match="expected one of unidic_lite, unidic, ipadic or a dictionary's directory"):
        load(directory, mecab_kwargs={"mecab_dic": "jumandic"})
    with pytest.raises(ImportError, match="pip install unidic"):
        load(directory, mecab_kwargs={"mecab_dic": "unidic"})
    (tmp_path / "vocab.txt").write_text("猫\n[UNK]\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"the vocabulary has no \[CLS\], \[SEP\]"):
        BertJapaneseTokenizerFast(str(tmp_path / "vocab.txt"))


def test_names_agree_with_the_project():
    """The file stands alone, so some names are in it a second time."""
    assert MODULE_FILE == tokenizer_directory.FAST_TOKENIZER_FILE
    assert DICTIONARY_PACKAGES == PACKAGES_OF_DATA
    assert "japanese_bert" not in MODULE.read_text(encoding="utf-8")
