"""The commands of docs/corpora.md run as they are written and give the fingerprints that the page shows."""

import json
import os
import re
import shlex
import subprocess
import sys


def test_every_command_runs_and_fingerprints_are_those_of_the_page(shared, root, tmp_path):
    page = (root / "docs/corpora.md").read_text()
    (tmp_path / "shared").symlink_to(shared)
    block = re.search(r"^```bash\n(.*?)^```", page, flags=re.S | re.M)
    assert block
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    for line in block[1].splitlines():
        words = [sys.executable, *shlex.split(line)[1:]]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    shown = re.findall(r"^\| `(\w+)` \| ([0-9a-f]{16}) \|", page, flags=re.M)
    assert len(shown) == 8
    for name, fingerprint in shown:
        manifest = json.loads((tmp_path / "corpora" / name / "manifest.json").read_text())
        assert manifest["fingerprint"].startswith(fingerprint), name
