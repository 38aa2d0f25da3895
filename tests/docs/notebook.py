"""The notebook beside docs/library.md: made of the page, executed, and written with what it printed.

python -m tests.docs.notebook FOLDER    executes it where FOLDER/runs/mine and FOLDER/corpora/mine are
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.reader import ROOT
from tests.hang import HANG_S

PAGE, NOTEBOOK = ROOT / "docs/library.md", ROOT / "docs/library.ipynb"
_MARK = "=== end of a cell ==="


def code_of(cell: dict) -> str:
    """The text of a code cell, with the line end that a block of the page has."""
    return "".join(cell["source"]) + "\n"


def run_cells(cells: list[str], folder: Path) -> list[str]:
    """What each cell prints, all run in one process in a folder."""
    script = "".join(f"{cell}\nprint({_MARK!r})\n" for cell in cells)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=HANG_S, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split(f"{_MARK}\n")[:-1]


def notebook(page: str, printed: list[str]) -> dict:
    """The page as a notebook of format 4: prose as markdown cells, blocks of Python as executed cells."""
    outputs, cells = iter(enumerate(printed, 1)), []
    for part in re.split(r"(^```python\n.*?^```\n)", page, flags=re.S | re.M):
        if part.startswith("```python\n"):
            number, text = next(outputs)
            source = part.removeprefix("```python\n").removesuffix("```\n").rstrip("\n")
            stream = [{"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}]
            cells.append({
                "cell_type": "code", "execution_count": number, "id": f"cell-{len(cells)}", "metadata": {},
                "outputs": stream if text else [], "source": source.splitlines(keepends=True),
            })  # fmt: skip
        elif prose := part.strip():
            cells.append({"cell_type": "markdown", "id": f"cell-{len(cells)}", "metadata": {},
                          "source": prose.splitlines(keepends=True)})  # fmt: skip
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    code = re.findall(r"^```python\n(.*?)^```", text, flags=re.S | re.M)
    made = notebook(text, run_cells(code, Path(sys.argv[1])))
    NOTEBOOK.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
