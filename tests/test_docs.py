"""Every page: its commands, links and quotes, its length and purpose. README.md: the code map.

All commands run with stand-ins for the programs they call, and the scripts' own parsers read the arguments. The
commands of recipes/, and the stages of the data pages, are in test_recipes.py.
"""

import ast
import re
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
