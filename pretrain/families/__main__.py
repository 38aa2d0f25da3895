"""``python -m pretrain.families``: the command ``polymerase families``."""

import sys

from pretrain.cli.families import main

if __name__ == "__main__":
    sys.exit(main())
