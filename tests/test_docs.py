"""Every page: its commands, links and quotes, its length and purpose. README.md: the code map, and README.ja.md.

All commands run with stand-ins for the programs they call, and the scripts' own parsers read the arguments. The
commands of recipes/, and the stages of the data pages, are in test_recipes.py.
"""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.places import ROOT
from tests.helpers.recipes import (
    BLOCK,
    PAGES,
    QUOTE,
    RECIPES,
    blocks,
    calls,
    make_workplace,
    parse_call,
    script_calls,
    with_quotes,
)

FEW_SHARDS = {"CC100_SHARDS": "3", "WIKIPEDIA_SHARDS": "2"}
READMES = (ROOT / "README.md", ROOT / "README.ja.md")
LINK_OR_CODE = re.compile(r"\]\(([^)]+)\)|`([^`]+)`")
FIGURE = re.compile(r"(\d+(?:,\d{3})*(?:\.\d+)?(?:e-\d+)?)( million|万)?")
SCALES = {"": 1, " million": 1_000_000, "万": 10_000}


@pytest.fixture
def workplace(tmp_path) -> Path:
    return make_workplace(tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
class TestPages:
    def test_every_command_is_accepted(self, page, workplace):
        for block in blocks(page, "sh"):
            for call in script_calls(calls(block, workplace, **FEW_SHARDS)):
                parse_call(call)

    def test_commands_are_in_blocks_of_sh(self, page):
        """So that no command escapes the tests."""
        text = page.read_text(encoding="utf-8")
        assert {name for name, _ in BLOCK.findall(text)} <= {"sh", "yaml", "python", "json", ""}
        for name, block in BLOCK.findall(text):
            assert name == "sh" or not re.search(r"^(\$ ?)?python |^\./recipes", block, re.MULTILINE)

    def test_python_is_python(self, page):
        for block in blocks(page, "python"):
            ast.parse(block)

    def test_quotes_are_as_in_the_recipes(self, page):
        text = page.read_text(encoding="utf-8")
        assert with_quotes(text) == text, "run python -m tests.helpers.recipes"
        assert text.count("<!-- recipes/") == len(QUOTE.findall(text))

    def test_commands_of_a_recipe_are_quoted_not_copied(self, page):
        recipes = "\n".join(path.read_text(encoding="utf-8") for path in sorted(RECIPES.iterdir()))
        for block in blocks(page, "sh"):
            long = [line for line in block.split("\n") if len(line) > 60 and line in recipes.split("\n")]
            assert not long

    def test_every_link_leads_somewhere(self, page):
        check_links(page)

    def test_length_and_purpose(self, page):
        lines = page.read_text(encoding="utf-8").split("\n")
        assert len(lines) <= (250 if page.parent == ROOT else 300)
        assert lines[0].startswith("# ") and lines[2].startswith(("This page ", "This is ", "Pretrain "))


@pytest.mark.parametrize("name", ["README.ja.md", "CONTRIBUTING.md", "CHANGELOG.md", "sample_data/README.md"])
def test_links_of_other_files_lead_somewhere(name):
    check_links(ROOT / name)


def check_links(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("https://"):
            file, _, anchor = target.partition("#")
            path = (page.parent / file) if file else page
            assert path.exists(), target
            assert not anchor or anchor in anchors(path), target


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_table_of_contents_has_every_page():
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+)\.md\)", text)) == {page.stem for page in PAGES if page.stem != "README"}


def test_scripts_are_all_in_the_code_map_and_no_others():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code_map = text[text.index("## Code map") : text.index("## Documentation")]
    scripts = {path.name for path in [*ROOT.glob("*.py"), *(ROOT / "tools").glob("*.py")]}
    assert set(re.findall(r"^ *(\w+\.py)", code_map, re.MULTILINE)) == scripts
    folders = {path.name for path in (ROOT / "japanese_bert").iterdir() if path.name != "__pycache__" and path.is_dir()}
    assert set(re.findall(r"^  (\w+)/", code_map, re.MULTILINE)) == folders


class TestJapaneseReadme:
    """README.ja.md says the same as README.md: its sections, blocks, tables, figures, names and links."""

    def test_sections_have_the_same_levels(self):
        english, japanese = ([text.split(" ")[0] for text in sections(page)] for page in READMES)
        assert english == japanese

    def test_blocks_have_the_same_commands_and_figures(self):
        english, japanese = (BLOCK.findall(page.read_text(encoding="utf-8")) for page in READMES)
        assert [block_facts(*block) for block in english] == [block_facts(*block) for block in japanese]

    def test_cells_of_tables_have_the_same_figures_names_and_links(self):
        english, japanese = (re.findall(r"^\|.*\|$", "".join(sections(page)), re.MULTILINE) for page in READMES)
        assert len(english) > 30
        assert [row_facts(row) for row in english] == [row_facts(row) for row in japanese]

    def test_sections_have_the_same_names_and_links_and_every_figure(self):
        for english, japanese in zip(*map(sections, READMES), strict=True):
            assert names(english).keys() == names(japanese).keys()
            assert not figures(english) - figures(japanese), english


def sections(page: Path) -> list[str]:
    """Return the sections of a README, each with its heading, without blocks and without the link to the other one."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    text = re.sub(r"^.*: \[README.*\]\(README.*\)$", "", text, flags=re.MULTILINE)
    return re.split(r"^(?=#+ )", text, flags=re.MULTILINE)[1:]


def block_facts(language: str, block: str) -> tuple[str, object, Counter[float]]:
    """Return the commands of a block and its figures, or the names in each line of the code map."""
    if block.startswith("demo.sh  "):
        lines = block.split("\n")
        names_of_lines = [Counter(re.findall(r"[\w{},]*(?:/|\.\w+)", line, re.ASCII)) for line in lines]
        return "code map", names_of_lines, Counter()
    return language, re.sub(r"(^|\s+)#.*", "", block, flags=re.MULTILINE), figures(block)


def row_facts(row: str) -> list[tuple[Counter[str], Counter[float]]]:
    return [(names(cell), figures(cell)) for cell in row.split("|")]


def names(text: str) -> Counter[str]:
    """Count the links and the code of a text."""
    return Counter(link or code for link, code in LINK_OR_CODE.findall(text))


def figures(text: str) -> Counter[float]:
    """Count the figures of a text outside links and code."""
    found = FIGURE.findall(LINK_OR_CODE.sub("", text))
    return Counter(float(digits.replace(",", "")) * SCALES[scale] for digits, scale in found)
