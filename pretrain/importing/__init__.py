"""Checkpoints from outside: read as data, never as code, and mapped strictly onto our names."""

from pretrain.importing.published import Imported, import_published, load_pretrained_state
from pretrain.importing.source import ImportedFile, read_source

__all__ = ["Imported", "ImportedFile", "import_published", "load_pretrained_state", "read_source"]
