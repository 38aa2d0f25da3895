"""The site: every page has its place in the navigation, once; where mkdocs is installed it builds without a warning."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
import yaml

from tests.docs.reader import ROOT
from tests.hang import HANG_S

CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def pages(entries: list) -> list[str]:
    """Files named anywhere in the navigation."""
    found = []
    for entry in entries:
        for target in entry.values():
            found += [target] if isinstance(target, str) else pages(target)
    return found


def test_every_page_stands_once_in_the_navigation():
    named = pages(CONFIG["nav"])
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(named) == sorted(there)


@pytest.mark.skipif(
    not all(map(find_spec, ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers"))),
    reason="the site's packages are not installed (extra site)",
)
def test_the_site_builds_without_a_warning_and_shows_docstrings(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, capture_output=True, text=True, timeout=HANG_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "site/quickstart/index.html").is_file()
    assert "Hidden states of sequences of any length." in (tmp_path / "site/reference/index.html").read_text()
