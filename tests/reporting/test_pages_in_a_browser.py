"""Pages as a browser shows them, on a phone and a desk: nothing sticks out, every picture loads, no error is told."""

import re
import shutil
from pathlib import Path

import pytest

from data_prep.__main__ import main as data_prep
from tests.browser import DESK, PHONE, Browser, open_browser
from tests.evaluation.support import in_process

FASTA = ">tRNA-like of-mine\nGCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUC\n>short\nGAUUACAGAUUACA\n"
PAIRS = ">hairpin\nGGGGAAAACCCC\n((((....))))\n"
OTHER = "a_run_whose_name_somebody_made_of_all_its_settings_lr_0.0005_seed_17"


@pytest.fixture(scope="module")
def browser():
    with open_browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory, tiny_run, corpora) -> dict[str, Path]:
    """Every page that a command writes, by what it is about."""
    folder = tmp_path_factory.mktemp("pages")
    other = folder / OTHER
    shutil.copytree(tiny_run, other)
    config = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(re.sub(r"^  lr: .*$", "  lr: 0.0005", config, flags=re.M))
    (folder / "my.fa").write_text(FASTA)
    (folder / "known.dbn").write_text(PAIRS)
    for words in (
        ["report.py", tiny_run, "--out", folder / "report.html"],
        ["report.py", tiny_run, other, "--out", folder / "comparison.html"],
        ["evaluate.py", tiny_run, "--mutate", folder / "my.fa", "--out", folder / "mutagenesis"],
        ["evaluate.py", tiny_run, "--attention", folder / "my.fa", "--out", folder / "attention"],
        ["evaluate.py", tiny_run, "--pairs", folder / "known.dbn", "--out", folder / "pairs"],
    ):
        status, _, err = in_process(*words)
        assert status == 0, err
    for kind in ("labeled", "alleles", "genome"):
        assert data_prep(["inspect", str(corpora[kind]), "--out", str(folder / f"inspect-{kind}")]) == 0
    return {"report": folder / "report.html", "comparison": folder / "comparison.html"} | {
        path.parent.name: path for path in folder.glob("*/index.html")
    }


PICTURES = {
    "report": 8, "comparison": 4, "mutagenesis": 2, "attention": 2, "pairs": 1, "inspect-labeled": 3,
    "inspect-alleles": 3, "inspect-genome": 0,
}  # fmt: skip


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", PICTURES)
def test_a_page_fits_its_window_with_all_its_pictures_and_without_an_error(browser: Browser, name, width, pages):
    look = browser.look(pages[name].as_uri(), width)
    assert not look.complaints()
    assert look.pictures >= PICTURES[name]


def test_every_page_is_looked_at(browser, pages):
    assert set(pages) == set(PICTURES)


WRONG = {
    "sideways": ("<p style='width: 2000px'>wide</p>", "pixels in a window of"),
    "picture": ("<img src='data:image/png;base64,AAAA' alt='none'>", "picture not loaded: data:image/png"),
    "missing": ("<script src='missing.js'></script>", "Script: net::ERR_FILE_NOT_FOUND"),
    "script": ("<script>document.nothing.name</script>", "TypeError"),
    "console": ("<script>console.error('told')</script>", "['told']"),
    "empty": ("<script>document.body.innerHTML = ''</script>", "nothing to read"),
}


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_page_is_seen(browser: Browser, name, width, tmp_path):
    body, said = WRONG[name]
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><meta name=viewport content='width=device-width'><body><p>Text.</p>{body}")
    assert any(said in one for one in browser.look(page.as_uri(), width).complaints())
    page.write_text("<!doctype html><meta name=viewport content='width=device-width'><body><p>Text.</p>")
    assert not browser.look(page.as_uri(), width).complaints()
