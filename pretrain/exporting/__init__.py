"""Our weights as Hugging Face folders that stock transformers loads, and proof that they do."""

from pretrain.exporting.card import CardFacts
from pretrain.exporting.export_model import ExportReport, export_model

__all__ = ["CardFacts", "ExportReport", "export_model"]
