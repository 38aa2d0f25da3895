"""deepspeed launch/pretrain.py --config ernie.yaml [section.key=value ...]: see pretrain/cli/pretrain.py."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder holds pretrain.py, which would hide the package

from pretrain.cli.command import end_process
from pretrain.cli.pretrain import main

if __name__ == "__main__":
    end_process(main)
