"""python launch/push.py: see pretrain/cli/push.py."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder holds pretrain.py, which would hide the package

from pretrain.cli.push import main

if __name__ == "__main__":
    sys.exit(main())
