"""The byte tokenizer as a Hugging Face file: printed bytes are tokens, all others fall back to ``<0xNN>``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pretrain.tokenizers.bytes import ByteTokenizer


def write_bytes(tokenizer: ByteTokenizer, folder: Path) -> dict[str, Any]:
    """Write ``tokenizer.json``; returns the entries of ``tokenizer_config.json`` besides lengths and sides."""
    from tokenizers import AddedToken, decoders, processors
    from tokenizers import Tokenizer as FastTokenizer
    from tokenizers.models import BPE

    vocab = tokenizer.vocab
    end, pad = vocab[tokenizer.cls_id], vocab[tokenizer.pad_id]
    fast = FastTokenizer(BPE({token: i for i, token in enumerate(vocab)}, [], byte_fallback=True))
    fast.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in (end, pad)])
    fast.post_processor = processors.TemplateProcessing(
        single=f"{end} $A", pair=f"{end} $A {end} $B", special_tokens=[(end, tokenizer.cls_id)]
    )
    fast.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    fast.save(str(folder / "tokenizer.json"))
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "bos_token": end,
        "eos_token": end,
        "pad_token": pad,
    }
