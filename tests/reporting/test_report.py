"""The report of a run: its figures are those of the run, its page is whole and holds its pictures."""

import base64
import json
import re
import struct
from pathlib import Path

import pytest

from pretrain.config import check, load_config, save
from pretrain.reporting.plots import plots_of, smooth
from pretrain.reporting.recipe_diff import differences
from pretrain.reporting.report import facts, verdicts
from pretrain.runs.history import read_run, write_held_out
from tests.evaluation.support import error_line, in_process
from tests.training import corpora as build


@pytest.fixture
def written_run(tmp_path: Path) -> Path:
    """A run folder with chosen numbers: a start above the frame, one dropped update, one event, a torn last line."""
    folder = tmp_path / "made-up"
    folder.mkdir()
    save(check(build.tree(folder, tmp_path / "gone", train__steps=100), "test"), folder / "config.yaml")
    lines = [
        {
            "step": step, "loss": loss, "mlm/loss": loss, "mlm/accuracy": step / 200, "learning_rate": 1e-3 / step,
            "gradient_norm": 2.0, "dropped_updates": int(step > 50), "tokens_per_second": 1000.0,
            "data_wait_fraction": 0.1, "batch_digest": "00ff",
        }
        for step, loss in ((n, 3.0 if n < 3 else 1.5 - n / 1000) for n in range(1, 101))
    ]  # fmt: skip
    lines.insert(60, {"step": 60, "event": "bad steps 55: went back <b>to</b> step 50"})
    lines.insert(61, {"step": 60, "loss": "nan", "mlm/loss": "nan"})
    lines.append({"step": 100, "validation/mlm/loss": 1.3, "validation/mlm/accuracy": 0.4})
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"step": 10')
    return folder


def part(loss: float, baselines: dict[str, float], error: float = 0.01) -> dict:
    best = min(baselines, key=baselines.get)
    return {
        "loss": loss, "standard_error": 0.02, "targets": 900, "sequences": 30, "accuracy": 0.4, "baselines": baselines,
        "best_baseline": best, "difference": loss - baselines[best], "difference_standard_error": error,
    }  # fmt: skip


def test_figures_are_those_of_the_run(written_run):
    write_held_out(
        written_run, 100,
        {"mlm": {
            "hidden": part(1.3, {"letters": 1.38, "markov_both_5": 1.2}),
            "shown": part(0.6, {"letters": 1.38, "letters_given_shown": 0.8}),
            "all": part(1.21, {"letters": 1.38, "letters_given_shown": 1.22}),
        }},
    )  # fmt: skip
    run = read_run(written_run)
    figures = facts(run)
    assert (figures["step"], figures["finished"], figures["steps"]) == (100, False, 100)
    assert figures["objectives"]["mlm"]["held_out"] == {"loss": 1.3, "accuracy": 0.4}
    assert figures["tokens_per_second"] == pytest.approx(1000)
    assert figures["trouble"]["dropped_updates"] == 1
    constant = "letter frequencies 1.3800, accuracy 0.400"
    assert verdicts(figures) == [
        (
            f"mlm loss at hidden positions 1.3000 ± 0.0200 ({constant}), "
            "0.1000 ± 0.0100 above Markov chain of order 5, both sides (1.2000)",
            "bad",
        ),
        (
            f"mlm loss at shown positions 0.6000 ± 0.0200 ({constant}), "
            "0.2000 ± 0.0100 below letters given the shown token (0.8000)",
            "good",
        ),
        (
            f"mlm loss 1.2100 ± 0.0200 ({constant}), "
            "no different from letters given the shown token (1.2200): -0.0100 ± 0.0100",
            "muted",  # no color for less than two standard errors
        ),
    ]
    (sentence,) = figures["conclusion"]
    assert sentence.startswith("learned nothing")


def test_a_run_without_baselines_gets_no_verdict_and_no_color(written_run):
    (sentence, kind) = verdicts(facts(read_run(written_run)))[0]
    assert kind == "muted"
    assert "below" not in sentence
    assert "evaluate.py" in sentence


def test_pictures_are_png_files_of_what_there_is(written_run):
    plots = plots_of(read_run(written_run))
    assert set(plots) == {
        "loss-mlm", "accuracy-mlm", "learning-rate", "gradient-norm", "throughput", "data-wait", "trouble"
    }  # fmt: skip
    for picture in plots.values():
        content = picture.png
        assert content.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", content[16:24])
        assert width > 800
        assert height > 400


def test_the_page_holds_its_pictures_and_escapes_what_it_quotes(written_run):
    status, out, err = in_process("report.py", written_run)
    assert status == 0, err
    assert "gone" in err  # the corpus: said, not fatal
    page = (written_run / "report.html").read_text()
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    files = sorted(path.read_bytes() for path in (written_run / "report").glob("*.png"))
    assert sorted(base64.b64decode(image) for image in images) == files
    assert len(files) == 7
    assert "<b>to</b>" not in page
    assert "went back &lt;b&gt;to&lt;/b&gt; step 50" in page
    assert not re.search(r'(src|href)="http', page)
    assert out.splitlines()[-1] == f"wrote {written_run / 'report.html'}"


def test_the_page_says_where_phases_meet(written_run):
    without = plots_of(read_run(written_run))
    phases = [{"steps": 40}, {"steps": 60, "masking": {"rate": 0.2}}]
    tree = build.tree(written_run, written_run.parent / "gone", train={"steps": 100, "phases": phases})
    save(check(tree, "test"), written_run / "config.yaml")
    status, _, err = in_process("report.py", written_run)
    assert status == 0, err
    page = re.sub(r"<[^>]+>", " ", (written_run / "report.html").read_text())
    assert re.search(r"1\s+steps 1 to 40: the settings of the run\s+1\.46\b", page)
    assert re.search(r"2\s+steps 41 to 100: masking\.rate=0\.2\s+1\.4\b", page)
    boundaries = plots_of(read_run(written_run))
    assert all(boundaries[name] != picture for name, picture in without.items())


def test_what_differs_from_the_recipe_is_listed_and_places_are_not(written_run):
    found = {
        difference.key: (difference.published, difference.here)
        for difference in differences(read_run(written_run).config)
    }
    assert found["model.hidden_size"] == (768, 32)
    assert found["engine.precision"] == ("bf16", "fp32")
    assert not [key for key in found if key.startswith(("run.", "corpus.path", "tracking."))]


@pytest.mark.parametrize("name", ["ernie.yaml", "utr_lm.yaml", "mutbert.yaml", "utrbert_3mer.yaml"])
def test_the_recipe_itself_differs_in_nothing(name):
    assert differences(load_config(name)) == []


def test_a_real_run_is_reported_with_baselines_and_its_corpus(tiny_run, tmp_path):
    status, out, err = in_process("report.py", tiny_run, "--out", tmp_path / "r.html", "--json")
    assert status == 0, err
    figures = json.loads(out)
    assert {"hidden", "shown", "all"} <= set(figures["objectives"]["mlm"])
    assert "markov_both_5" in figures["objectives"]["mlm"]["hidden"]["baselines"]
    assert figures["conclusion"]
    assert figures["finished"]
    page = (tmp_path / "r.html").read_text()
    assert "labeled" in page
    assert json.loads((tiny_run / "environment.json").read_text())["python"] in page


def test_smoothing_keeps_the_mean_and_the_ends():
    import numpy as np

    values = np.random.default_rng(1).normal(size=240)
    curve = smooth(values)
    assert curve[0] == pytest.approx(values[0])
    assert curve[-1] == pytest.approx(values[-1])
    assert curve[120] == pytest.approx(values[116:125].mean())


def test_a_folder_without_a_run_or_without_numbers_is_refused(tmp_path, written_run):
    assert "expected a run folder" in error_line("report.py", tmp_path)
    assert ".html file" in error_line("report.py", written_run, "--out", tmp_path / "x.pdf")
    (written_run / "metrics.jsonl").unlink()
    assert "nothing is logged yet" in error_line("report.py", written_run)
