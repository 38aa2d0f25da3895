"""One YAML per run, strictly checked: see ``sections`` for every key and its meaning."""

from pretrain.config.load import check, dump, load_config, notes, save
from pretrain.config.phases import RunPhase, phases_of
from pretrain.config.problems import known_keys
from pretrain.config.sections import Config

__all__ = ["Config", "RunPhase", "check", "dump", "known_keys", "load_config", "notes", "phases_of", "save"]
