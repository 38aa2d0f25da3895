"""``citizen.py`` in a process without this project, and with other versions of libraries where a folder has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.hang import HANG_S

CITIZEN = Path(__file__).with_name("citizen.py")


class CitizenProcess:
    """One process for jobs one after another: to import the libraries costs as much as all checks of a form."""

    def __init__(self, folder: Path, site: str | None = None) -> None:
        """Start it.

        Args:
            folder: Where code that travels with a folder, and what the process prints, go.
            site: Folders of libraries that come before the installed ones, as in PYTHONPATH.
        """
        folder.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"HF_MODULES_CACHE": str(folder / "modules"), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        if site:
            environment["PYTHONPATH"] = site
        self._log = folder / "citizen.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(CITIZEN)], cwd=folder, env=environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        """Whether it takes no more jobs."""
        return self._process.poll() is not None

    def run(self, jobs: dict[str, Any]) -> dict[str, Any]:
        """Results of all checks of these jobs, by name, and the versions of the libraries."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        hung = threading.Timer(HANG_S, self._process.kill)
        hung.start()
        try:
            print(json.dumps(jobs), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        finally:
            hung.cancel()
        assert answer, f"ended with {self._process.wait()}:\n{self._log.read_text()[-3000:]}"
        return json.loads(answer)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
