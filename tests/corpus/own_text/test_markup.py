"""Each optional rule alone, with what it must leave."""

from collections import Counter

import pytest

from japanese_bert.corpus.own_text.markup import MARKUP_RULES, drop_markup

CASES = [
    ("html", "<p class='a'>猫&amp;犬</p><br/>1 < 2 <b>太</b>い", "\n猫&犬\n\n1 < 2 太い"),
    ("html", "<script>var a = '猫';</script><!-- 注 --><ruby>漢<rt>かん</rt></ruby>字 <3", "漢字 <3"),
    ("html", "<ruby>東<rt>ひがし</ruby>の空。<ruby>西<rp>（<rt>にし</rt><rp>）</rp></ruby>も。", "東の空。西も。"),
    ("html", "<ruby>漢<rt><span>かん</span></rt></ruby>字<ruby>音<rt>おん<p>次の段落", "漢字音\n次の段落"),
    ("html", "<!DOCTYPE html><title>猫</title><body><dl><dt>犬<dd>動物</dl><![endif]>", "\n猫\n\n\n\n犬\n動物\n"),
    ("ruby", "｜吾輩《わがはい》は猫《ねこ》だ。《猫》という。", "吾輩は猫だ。《猫》という。"),
    ("aozora_notes", "［＃３字下げ］第一章※［＃「口＋世」、第3水準］。[1]", "第一章。[1]"),
    ("furigana", "梅雨（つゆ）は雨季(うき)だ（らしい）。東京都（とうきょうと）", "梅雨は雨季だ（らしい）。東京都"),
    ("urls", "詳しくはhttps://example.com/a?b=1を見よ。www.example.jp も", "詳しくはを見よ。 も"),
    ("wide_spaces", "\u3000東\u3000京 ＡＢ\u3000ＣＤ", "東京 ＡＢ\u3000ＣＤ"),
    ("repeated_punctuation", "えーーー！！！！……。…………ww-----", "えー！……。……ww-"),
]


@pytest.mark.parametrize(("rule", "text", "expected"), CASES)
def test_rule(rule, text, expected):
    dropped: Counter = Counter()
    assert drop_markup(text, [rule], dropped) == expected
    assert dropped == {rule: len(text) - len(expected)}
    assert drop_markup(text, [], dropped) == text
    assert drop_markup("猫がいる。", list(MARKUP_RULES), Counter()) == "猫がいる。"


def test_every_rule_has_a_case():
    assert {rule for rule, _, _ in CASES} == set(MARKUP_RULES)
