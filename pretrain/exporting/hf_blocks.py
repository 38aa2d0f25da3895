"""K-mers side by side (Nucleotide Transformer) and byte pairs (DNABERT-2) as Hugging Face files without code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pretrain.tokenizers.bpe import BpeTokenizer
from pretrain.tokenizers.kmer_blocks import BlockTokenizer

_BLANKS = r"[ \t\n\r\x0b\x0c]+"


def write_blocks(tokenizer: BlockTokenizer, folder: Path) -> dict[str, Any]:
    """Write ``tokenizer.json``; returns the entries of ``tokenizer_config.json`` besides lengths and sides."""
    from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers, processors
    from tokenizers import Tokenizer as FastTokenizer
    from tokenizers.models import WordLevel

    vocab, k = tokenizer.vocab, tokenizer.nucleotides_per_token
    first, unknown = vocab[tokenizer.cls_id], vocab[tokenizer.unk_id]
    fast = FastTokenizer(WordLevel({token: i for i, token in enumerate(vocab)}, unk_token=unknown))
    fast.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in tokenizer.special])
    folds = [normalizers.Replace(letter.lower(), letter) for letter in "ACGT"]
    fast.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(_BLANKS), ""),
            *folds,
            normalizers.Replace(Regex("[Uu]"), "T"),
            normalizers.Replace(Regex("[^ACGT]"), "N"),
        ]
    )
    fast.pre_tokenizer = pre_tokenizers.Split(Regex(f"[ACGT]{{{k}}}|[ACGTN]"), "isolated")
    fast.post_processor = processors.TemplateProcessing(
        single=f"{first} $A", pair=f"{first} $A {first} $B", special_tokens=[(first, tokenizer.cls_id)]
    )
    fast.decoder = decoders.Fuse()
    fast.save(str(folder / "tokenizer.json"))
    roles = {"unk_token": unknown, "cls_token": first}
    roles |= {"pad_token": vocab[tokenizer.pad_id], "mask_token": vocab[tokenizer.mask_id]}
    roles |= {f"{name}_token": f"<{name}>" for name in ("eos", "bos") if f"<{name}>" in vocab}
    return roles | {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}


def write_pairs(tokenizer: BpeTokenizer, folder: Path) -> dict[str, Any]:
    """Write the file of a byte-pair tokenizer; returns the entries of ``tokenizer_config.json`` likewise."""
    tokenizer.save(folder / "tokenizer.json")
    roles = {f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")}
    return roles | {"tokenizer_class": "PreTrainedTokenizerFast"}
