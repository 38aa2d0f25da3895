"""The wheel brings commands, configs and types; a folder of its own shows it, without the clone in reach."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.hang import HANG_S

ROOT = Path(__file__).resolve().parents[1]


def run(words: list[str], cwd: Path) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """What a wheel of this tree unpacks to."""
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)], folder)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_the_wheel_holds_configs_types_remote_code_and_one_console_script(installed):
    assert (installed / "pretrain/py.typed").exists()
    assert (installed / "data_prep/py.typed").exists()
    assert list(installed.glob("pretrain/exporting/remote_code/modeling_*.py"))
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "polymerase = pretrain.cli.polymerase:main" in entry_points.read_text()
    shipped = {path.relative_to(installed / "pretrain/configs") for path in installed.rglob("configs/**/*.yaml")}
    assert shipped == {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml")}


@pytest.mark.slow
def test_a_published_config_is_found_from_anywhere(installed, tmp_path):
    code = "from pretrain.config import load_config; print(load_config('ernie.yaml').model.family)"
    words = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed)!r}); {code}"]
    assert run(words, tmp_path).strip() == "ernie_rna"
