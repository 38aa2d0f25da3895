"""python launch/find_lr.py: see pretrain/cli/find_lr.py."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder holds pretrain.py, which would hide the package

from pretrain.cli.command import end_process
from pretrain.cli.find_lr import main

if __name__ == "__main__":
    end_process(main)
