"""The commands of recipes/: their sections, which the pages quote, and what they call.

python -m tests.helpers.recipes    writes each quoted section into README.md and docs/ again.
"""

import re
from pathlib import Path

from tests.helpers.places import ROOT

RECIPES = ROOT / "recipes"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
QUOTE = re.compile(r"^<!-- recipes/(\S+): ([^\n]+) -->\n(?:```sh\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def section(file: str, name: str) -> str:
    """Return the lines below `# --- NAME` in a recipe, up to the next section."""
    parts = re.split(r"^# --- (.+)\n", (RECIPES / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    if name not in sections:
        raise ValueError(f"recipes/{file}: no section '{name}'. It has: {', '.join(sections)}.")
    return sections[name].strip("\n") + "\n"


def with_quotes(text: str) -> str:
    """Return a page with the text of each quoted section below its mark."""
    return QUOTE.sub(lambda mark: mark[0].split("\n")[0] + f"\n```sh\n{section(mark[1], mark[2])}```\n", text)


def refresh(pages: list[Path]) -> None:
    for page in pages:
        page.write_text(with_quotes(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    refresh(PAGES)
