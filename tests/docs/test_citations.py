"""What code and configs cite exists: every page and every anchor of docs/recipes that is named anywhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "docs" / "recipes"
CITING = [path for folder in ("pretrain", "data_prep", "launch", "configs", "docs", "tests")
          for path in sorted((ROOT / folder).rglob("*")) if path.suffix in (".py", ".yaml", ".md", ".sh")]  # fmt: skip


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as Markdown viewers make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def citations() -> list[tuple[str, str, str]]:
    return [
        (str(path.relative_to(ROOT)), page, anchor)
        for path in CITING
        for page, anchor in re.findall(r"recipes/([a-z0-9_]+)\.md(?:#([a-z0-9_-]+))?", path.read_text(encoding="utf-8"))
    ]


def test_code_cites_recipes_at_all():
    assert len([where for where, *_ in citations() if where.startswith(("pretrain", "data_prep"))]) > 30


@pytest.mark.parametrize("page", sorted({page for _, page, _ in citations()}))
def test_cited_pages_and_anchors_exist(page):
    path = RECIPES / f"{page}.md"
    assert path.is_file(), [where for where, cited, _ in citations() if cited == page]
    known = anchors(path)
    assert not [
        (where, anchor) for where, cited, anchor in citations() if cited == page and anchor and anchor not in known
    ]


def test_pages_of_the_workshop_are_cited_nowhere():
    """Code once cited a specification that is not in the repository."""
    pattern = re.compile(r"\bspec(ification:?)? ?/?[a-z0-9_]+\.md")
    assert not [
        str(path)
        for path in CITING
        if "golden" not in path.parts and path != Path(__file__) and pattern.search(path.read_text("utf-8"))
    ]
