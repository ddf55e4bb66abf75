"""Questions with paragraphs, in the layout of SQuAD 1.1 (JSQuAD) -> `Example`. JGLUE's other tasks use it too."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from japanese_bert.common.json_files import parse_json

# A label of classification, an index of multiple choice, a number of regression, or all right answers of a question.
Gold = str | int | float | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One line of a file, or one question of JSQuAD.

    A question's `texts` are question and context. `answer_start` is where its first right answer begins.
    """

    id: str
    texts: tuple[str, ...]
    gold: Gold
    answer_start: int | None = None


def is_answer_there(example: Example) -> bool:
    """Return True if the context of a question has the first right answer where it says."""
    assert isinstance(example.gold, tuple) and example.answer_start is not None
    return example.answer_start >= 0 and example.texts[1].startswith(example.gold[0], example.answer_start)


def read_squad(path: Path) -> Iterator[Example]:
    """Yield all questions of a file in its order.

    Raises:
        ValueError: the file has another layout.
    """
    try:
        articles = parse_json(path.read_bytes(), "file")["data"]
        paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
        for paragraph in paragraphs:
            for question in paragraph["qas"]:
                answers = tuple(str(answer["text"]) for answer in question["answers"])
                texts = (question["question"], paragraph["context"])
                yield Example(str(question["id"]), texts, answers, question["answers"][0]["answer_start"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{path}: not in the layout of SQuAD 1.1 ({type(error).__name__}: {error})") from None
