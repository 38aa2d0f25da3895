"""The page on the library runs from top to bottom in one process, and its notebook holds the same cells and outputs."""

import json

import pytest

from pretrain.config import load_config
from tests.docs.notebook import NOTEBOOK, PAGE, code_of, run_cells
from tests.docs.reader import blocks


@pytest.fixture(scope="module")
def printed(tmp_path_factory, tiny_run) -> list[str]:
    """What each block of the page prints, where a run and its corpus are at the places that the page names."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "runs").mkdir()
    (folder / "corpora").mkdir()
    (folder / "runs/mine").symlink_to(tiny_run)
    (folder / "corpora/mine").symlink_to(load_config(str(tiny_run / "config.yaml")).corpus.path)
    return run_cells([block.text for block in blocks(PAGE.read_text()) if block.language == "python"], folder)


def test_every_block_of_the_page_runs_in_order(printed):
    text = "".join(printed)
    for promised in ("ernie_rna", "(2, 32) (9, 32)", "(2,)", "ACGU (12, 4) (12,)", "<?xml", "int32 True", "True True",
                     "5 steps, ['mlm']"):  # fmt: skip
        assert promised in text, text


def test_the_notebook_is_the_page_and_was_executed(printed):
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [code_of(cell) for cell in code] == [b.text for b in blocks(PAGE.read_text()) if b.language == "python"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    for cell, now in zip(code, printed, strict=True):
        then = "".join(line for output in cell["outputs"] for line in output["text"])
        assert bool(then) == bool(now)
        if not any(character.isdigit() for character in now):  # figures are those of the run it was executed with
            assert then == now


def test_a_model_is_asked_by_its_path_too(tiny_run):
    import numpy as np

    import pretrain
    from pretrain.errors import PolymeraseError

    by_path = pretrain.embed(tiny_run, "GGGAAACCC")
    np.testing.assert_allclose(by_path, pretrain.embed(pretrain.load_model(tiny_run), ["GGGAAACCC"]), atol=1e-6)
    with pytest.raises(PolymeraseError, match=r"position 3 \(0-based\): expected 'C', got 'A' there"):
        pretrain.score_variants(tiny_run, "GGGAAACCC", [(3, "C", "G")])
    with pytest.raises(PolymeraseError, match="is not a substitution of one base"):
        pretrain.score_variants(tiny_run, "GGGAAACCC", [(3, "A", "GG")])
    with pytest.raises(AttributeError, match="no attribute 'embedd'"):
        _ = pretrain.embedd
