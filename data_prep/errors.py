"""What a user of `data_prep` sees when something is wrong."""


class DataPrepError(Exception):
    """Bad input or usage. The message is the one line a user sees: file, record or key, what is wrong, what to do."""
