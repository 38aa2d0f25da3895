"""The site: every page has its place in the navigation, once; where mkdocs is installed it builds without a warning,
and its pages are looked at."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import yaml

from tests.browser import DESK, PHONE, open_browser
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


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site; building warns of nothing."""
    if not all(map(find_spec, ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers"))):
        pytest.skip("the site's packages are not installed (extra site)")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=HANG_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_the_site_shows_pages_and_docstrings(site):
    assert (site / "quickstart/index.html").is_file()
    assert "Hidden states of sequences of any length." in (site / "reference/index.html").read_text()


def test_every_link_within_the_site_leads_somewhere(site):
    gone = []
    for page in site.rglob("index.html"):
        for address in re.findall(r'(?:href|src)="([^"]+)"', page.read_text()):
            target = urlsplit(urljoin(page.as_uri(), address))
            path = Path(unquote(target.path))
            if target.scheme == "file" and not (path / "index.html" if target.path.endswith("/") else path).is_file():
                gone.append((str(page.relative_to(site)), address))
    assert not gone


@pytest.mark.slow
def test_every_page_of_the_site_fits_a_phone_and_a_desk_without_an_error(site):
    wrong = {}
    with open_browser() as browser:
        for page in sorted(site.rglob("index.html")):
            for width in (PHONE, DESK):
                if found := browser.look(page.as_uri(), width).complaints():
                    wrong[str(page.relative_to(site)), width] = found
    assert not wrong
