"""Our weights as Hugging Face folders that stock transformers loads, and proof that they do."""
