"""From raw public files to corpora on disk: `python -m data_prep STAGE …`."""
