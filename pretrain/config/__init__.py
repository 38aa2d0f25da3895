"""One YAML per run, strictly checked: see ``sections`` for every key and its meaning."""

from pretrain.config.load import check, dump, load_config, notes, save, total_steps
from pretrain.config.problems import known_keys
from pretrain.config.sections import Config

__all__ = ["Config", "check", "dump", "known_keys", "load_config", "notes", "save", "total_steps"]
