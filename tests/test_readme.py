"""Each command of the README runs as it is written."""

import gzip
import os
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest


def commands(readme: str) -> list[str]:
    """Lines of the ```bash blocks, comments removed. (Blocks marked text need a GPU or a download.)"""
    blocks = re.findall(r"^```bash\n(.*?)^```", readme, flags=re.S | re.M)
    lines = [shlex.join(shlex.split(line, comments=True)) for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A folder as the newcomer's: the project's scripts and a FASTA of their own."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "launch").symlink_to(root / "launch")
    rng = random.Random(3)
    with gzip.open(folder / "my.fa.gz", "wt") as file:
        for number in range(200):
            file.write(f">seq{number}\n{''.join(rng.choices('ACGU', k=rng.randint(40, 120)))}\n")
    return folder


def test_every_command_of_the_readme_works(newcomer: Path, root: Path) -> None:
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(root),
        "OMP_NUM_THREADS": "1",
    }
    found = [line for line in commands((root / "README.md").read_text()) if not line.startswith("make ")]
    assert len(found) >= 6
    for line in found:
        name, *rest = shlex.split(line)
        words = [str(bin_folder / name), *rest]
        if name == "deepspeed":
            words[1:1] = ["--master_port", "29631"]
        if name == "polymerase":  # what the console script of an installed package does
            call = "import sys; from pretrain.cli.polymerase import main; sys.exit(main())"
            words = [sys.executable, "-c", call, *rest]
        done = subprocess.run(words, cwd=newcomer, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert (newcomer / "exports/mine/model.safetensors").is_file()
    assert (newcomer / "runs/more/DONE").is_file()


def test_both_newcomer_commands_are_targets_of_the_makefile(root: Path) -> None:
    targets = re.findall(r"^(\w+):", (root / "Makefile").read_text(), flags=re.M)
    wanted = [line.split()[1] for line in commands((root / "README.md").read_text()) if line.startswith("make ")]
    assert wanted == ["demo", "test"]
    assert set(wanted) <= set(targets)


def test_links_and_paths_of_the_readme_exist(root: Path) -> None:
    text = (root / "README.md").read_text()
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", text) + re.findall(r"`((?:pretrain|tests|launch)/[\w/.]+)`", text)
    assert len(targets) > 10
    assert not [target for target in targets if "NAME" not in target and not (root / target).exists()]


@pytest.mark.parametrize("package", ["pretrain", "data_prep"])
def test_every_folder_of_a_package_is_in_a_table_of_the_readme(package: str, root: Path) -> None:
    text = (root / "README.md").read_text()
    table = text.partition(f"| folder of `{package}` |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    folders = {path.parent.name for path in (root / package).glob("*/__init__.py")}
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == folders


def test_figures_of_the_readme_are_those_of_the_page_that_measured_them(root: Path) -> None:
    """The README repeats a table; whoever measures again changes both."""
    section = (root / "README.md").read_text().partition("## What a run tells you")[2].partition("## ")[0]
    figures = set(re.findall(r"\d\.\d{4}", section))
    assert len(figures) == 12
    assert figures <= set(re.findall(r"\d\.\d{4}", (root / "docs/continue.md").read_text()))
