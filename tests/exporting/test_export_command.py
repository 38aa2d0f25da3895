"""launch/export.py turns a run's checkpoint into a folder, objective heads and their normalization included."""

import runpy
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from torch import Tensor

from pretrain.config import load_config
from pretrain.config.load import save
from pretrain.exporting.notes import terms_of
from pretrain.families import FAMILIES
from pretrain.families.published import published_model
from pretrain.importing import load_pretrained_state
from pretrain.runs.checkpoint import Checkpoints

SIZES = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20,
    "max_position_embeddings": 48, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
}  # fmt: skip


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(5)
    return published_model(replace(FAMILIES["ernie_rna"].settings, **SIZES), ("mlm", "structure", "mfe")).state_dict()


@pytest.fixture
def run_dir(tmp_path: Path, weights: dict[str, Tensor], corpora: dict[str, Path]) -> Path:
    """A run of ERNIE-RNA with structure and energy objectives, stopped after step 20."""
    folder = tmp_path / "my-run"
    folder.mkdir()
    words = [*(f"model.{key}={value}" for key, value in SIZES.items()), f"corpus.path={corpora['plain']}"]
    objectives = ["objectives.structure.label_shift=-1", "objectives.mfe.weight=1.0"]
    save(load_config("demo/ernie.yaml", [*words, *objectives, f"run.dir={folder}"]), folder / "config.yaml")
    state = {
        "step": 20,
        "identity": {
            "model": asdict(replace(FAMILIES["ernie_rna"].settings, **SIZES)),
            "corpus": {"rfam": "0123456789abcdef"},
        },
        "mfe_normalisation": {"mean_kcal_per_mol": -21.5, "std_kcal_per_mol": 8.25},
        "rna_types": [],
    }
    checkpoints = Checkpoints(folder)
    checkpoints.save(10, {name: tensor + 1 for name, tensor in weights.items()}, {}, state | {"step": 10})
    checkpoints.save(20, weights, {}, state)
    lines = [
        '{"step": 10, "loss": 1.6, "tokens_per_step": 100, "mlm/target_fraction": 0.14}',
        '{"step": 20, "loss": 1.5, "tokens_per_step": 120, "mlm/target_fraction": 0.16}',
        '{"step": 20, "validation/mlm/loss": 1.25}',
        '{"step": 30, "loss": 1.4, "validation/mlm/loss": 1.0}',  # after the checkpoint that is exported
        '{"st',
    ]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture
def export(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command, in this process and in an empty folder."""

    def call(*words: str) -> int:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))  # the script replaces the first entry
        monkeypatch.setattr(sys, "argv", ["export.py", *words])
        return runpy.run_path(str(root / "launch" / "export.py"))["main"]()

    return call


def test_the_newest_checkpoint_comes_out_exactly(
    export: Callable[..., int], run_dir: Path, weights: dict[str, Tensor]
) -> None:
    assert export("my-run", "--out", "hf", "--license", "apache-2.0") == 0
    family, settings, state = load_pretrained_state(run_dir.parent / "hf")
    assert family.name == "ernie_rna"
    assert {key: getattr(settings, key) for key in SIZES} == SIZES
    assert state.keys() == weights.keys()
    assert all(torch.equal(state[name], weights[name]) for name in weights)
    card = (run_dir.parent / "hf" / "README.md").read_text()
    for fact in (
        "license: apache-2.0",
        "run my-run, step 20",
        "| validation/mlm/loss | 1.2500 |",
        "corpus rfam | fingerprint 0123456789abcdef",
        "mean -21.5 and deviation 8.25 kcal/mol",
        "one column to the left",
        "| tokens read | 2,200 |",
        "| tokens that were targets of mlm | 15.00% |",
        "| model.num_hidden_layers | 12 | 2 |",
        "| plain-1 | plain-1.fa | - |",
        "not stated: ask whoever gave you the file",
    ):
        assert fact in card, fact
    found = ModelCard.load(run_dir.parent / "hf" / "README.md").data  # as the hub reads it
    assert (found.license, found.library_name, found.model_name) == ("apache-2.0", "transformers", "hf")
    (result,) = found.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == ("plain-1", "loss", 1.25)


def test_terms_of_public_files_follow_from_their_address() -> None:
    from data_prep.fetch.table import FILES

    unknown = {name for name, file in FILES.items() if terms_of(file.url).startswith("not stated")}
    assert terms_of("https://ftp.ebi.ac.uk/pub/databases/RNAcentral/releases/24.0/x.fa.gz") == "CC0 1.0"
    assert not unknown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["my-run", "--step", "15"], "no checkpoint of step 15; available: 10, 20"),
        (["elsewhere"], "elsewhere: expected a run folder"),
    ],
)
def test_what_is_not_there_is_one_line(
    export: Callable[..., int],
    run_dir: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    assert export(*words, "--out", "hf") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (run_dir.parent / "hf").exists()


def test_a_flipped_byte_in_the_asked_for_checkpoint_is_noticed(
    export: Callable[..., int], run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_dir / "checkpoints" / "step-20" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    assert export("my-run", "--step", "20", "--out", "hf") == 2
    assert "step-20" in capsys.readouterr().err
    assert not (run_dir.parent / "hf").exists()
