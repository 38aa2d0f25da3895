"""``python -m pretrain COMMAND``: the same words as the console script ``polymerase``."""

import sys

from pretrain.cli.polymerase import main

if __name__ == "__main__":
    sys.exit(main())
