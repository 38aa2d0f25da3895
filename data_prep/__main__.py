"""The command line: `python -m data_prep STAGE …`."""

import sys

from data_prep.stages.command import main

if __name__ == "__main__":
    sys.exit(main())
