"""``--dry-run --card`` says whether a run fits, about how fast it is, and that this is an estimate."""

from pretrain.cli.pretrain import main
from pretrain.planning.counted.cards import CARDS
from tests.training.corpora import build_labeled, tree, write_yaml


def said(capsys, *arguments: str, status: int = 2) -> dict[str, str]:
    """Sizes are planned without a corpus too, though the run could not start."""
    assert main([*arguments, "--dry-run", "--card", "H100"]) == status
    lines = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("on H100"))
    return {line[:20].strip(): line[20:] for line in lines[start:]}


def test_without_a_corpus_sequences_are_made_up(capsys):
    lines = said(capsys, "--config", "utr_lm.yaml", "model.num_hidden_layers=2")
    assert lines["on H100"].startswith("estimated")
    assert lines["fits"].startswith("yes")
    assert lines["host reads"] == "none"
    assert {"tokens/s", "days for the run", "kernels", "moved", "computed", "a micro-batch"} <= set(lines)


def test_with_a_corpus_its_first_batch_is_counted(capsys, tmp_path):
    config = tree(tmp_path / "run", build_labeled(tmp_path), objectives={"mlm": {}, "structure": {}, "mfe": {}})
    lines = said(capsys, "--config", str(write_yaml(tmp_path / "c.yaml", config)), status=0)
    tokens = int(lines["kernels"].split("for ")[1].split()[0].replace(",", ""))
    assert 100 < tokens <= 200  # batch.tokens


def test_what_does_not_fit_says_so(capsys):
    lines = said(capsys, "--config", "rinalmo_giga.yaml", "model.num_hidden_layers=4", "batch.sequences=1000")
    assert lines["fits"].startswith("no: about")


def test_a_card_without_a_dry_run_is_refused(capsys):
    assert main(["--config", "utr_lm.yaml", "--card", "H100"]) == 2
    assert "add --dry-run" in capsys.readouterr().err


def test_an_unknown_card_is_refused_before_anything_is_planned(capsys):
    assert main(["--config", "utr_lm.yaml", "--dry-run", "--card", "H1000"]) == 2
    assert capsys.readouterr() == (
        "",
        "error: --card H1000: unknown card; choose from " + ", ".join(CARDS) + "\n",
    )
