"""``launch/pretrain.py`` whose rank 0 comes late: a busy machine, to order."""

import os
import runpy
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    time.sleep(4 * (os.environ["RANK"] == "0"))
    sys.argv[0] = str(Path(__file__).resolve().parents[2] / "launch" / "pretrain.py")
    runpy.run_path(sys.argv[0], run_name="__main__")
