"""Our tokenizers as Hugging Face files that give the same ids.

Letters become a fast tokenizer (``tokenizer.json``, no code). Overlapping windows cannot be written as one, so k-mer
folders bring a Python file and load with ``trust_remote_code=True``; without it loading fails.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from pretrain.exporting.hf_blocks import write_blocks, write_pairs
from pretrain.exporting.hf_bytes import write_bytes
from pretrain.tokenizers import Tokenizer
from pretrain.tokenizers.bpe import BpeTokenizer
from pretrain.tokenizers.bytes import ByteTokenizer
from pretrain.tokenizers.codon import CodonTokenizer
from pretrain.tokenizers.kmer import SPECIAL, KmerTokenizer
from pretrain.tokenizers.kmer_blocks import BlockTokenizer
from pretrain.tokenizers.letters import LetterTokenizer

_REMOTE_CODE = Path(__file__).parent / "remote_code"
_KMER_MODULE = "tokenization_kmer"
_BLANKS = r"[ \t\n\r\x0b\x0c]+"


def write_tokenizer(tokenizer: Tokenizer, folder: Path, *, max_length: int, token_type_ids: bool = False) -> None:
    """Write the files that ``AutoTokenizer.from_pretrained(folder)`` needs into an existing folder.

    Args:
        tokenizer: ours.
        folder: exists.
        max_length: tokens to which ``truncation=True`` cuts, specials included.
        token_type_ids: whether tokenizers of letters return them too, for models like BERT.

    Raises:
        TypeError: a tokenizer without such a form.
    """
    if isinstance(tokenizer, LetterTokenizer):
        _write_letters(tokenizer, folder, max_length, token_type_ids)
    elif isinstance(tokenizer, KmerTokenizer):
        _write_kmers(tokenizer, folder, max_length)
    elif isinstance(tokenizer, ByteTokenizer):
        _write_config(folder, write_bytes(tokenizer, folder), max_length)
    elif isinstance(tokenizer, BlockTokenizer):
        _write_config(folder, write_blocks(tokenizer, folder), max_length)
    elif isinstance(tokenizer, BpeTokenizer):
        _write_config(folder, write_pairs(tokenizer, folder), max_length)
    else:
        raise TypeError(f"no Hugging Face form of {tokenizer.name}")


def _write_letters(tokenizer: LetterTokenizer, folder: Path, max_length: int, token_type_ids: bool) -> None:
    from tokenizers import AddedToken, decoders, processors
    from tokenizers import Tokenizer as FastTokenizer
    from tokenizers.models import BPE

    vocab = tokenizer.vocab
    first, last = (vocab[i] if i >= 0 else "" for i in (tokenizer.cls_id, tokenizer.eos_id))
    between = "[SEP]" if last and "[SEP]" in vocab else last
    ids = {token: i for i, token in enumerate(vocab)}
    # byte pairs without a single merge: every character is a token of its own, unknown ones each by themselves
    fast = FastTokenizer(BPE(ids, [], unk_token=vocab[tokenizer.unk_id], fuse_unk=False))
    fast.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in tokenizer.special])
    fast.normalizer = _normalizer(tokenizer)
    if first or last:
        second = f"{last}:1" if last else ""
        fast.post_processor = processors.TemplateProcessing(
            single=f"{first} $A {last}".strip(),
            pair=" ".join(f"{first} $A {between} $B:1 {second}".split()),
            special_tokens=[(token, ids[token]) for token in {first, between, last} - {""}],
        )
    fast.decoder = decoders.Fuse()
    fast.save(str(folder / "tokenizer.json"))
    names = {role: vocab[i] for role, i in _roles(tokenizer).items()}
    spare = [token for token in tokenizer.special if token not in names.values()]
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    if not token_type_ids:
        inputs.remove("token_type_ids")
    config = names | {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": inputs}
    if spare:
        config["additional_special_tokens"] = spare
    _write_config(folder, config, max_length)


def _normalizer(tokenizer: LetterTokenizer):
    """Blanks away; where the tokenizer folds, lower case up, and T and U to the one the vocabulary has."""
    from tokenizers import Regex, normalizers

    steps: list[Any] = [] if tokenizer.keep_blanks else [normalizers.Replace(Regex(_BLANKS), "")]
    unread = "".join(token for token in tokenizer.vocab if len(token) == 1 and token not in tokenizer.letters)
    if unread:  # letters of the vocabulary that this tokenizer takes for unknown
        steps.append(normalizers.Replace(Regex(f"[{unread}]"), "?"))
    if tokenizer.text_folding != "none":
        steps += [normalizers.Replace(letter.swapcase(), letter) for letter in tokenizer.letters]
    if tokenizer.text_folding == "all":
        for ours, other in ("UT", "TU", "ut", "tu"):
            if ours in tokenizer.letters and other not in tokenizer.letters:
                steps += [normalizers.Replace(case, ours) for case in (other, other.swapcase())]
    return normalizers.Sequence(steps)


def _roles(tokenizer: LetterTokenizer) -> dict[str, int]:
    """Ids of the special tokens under transformers' names."""
    roles = {
        "pad_token": tokenizer.pad_id,
        "unk_token": tokenizer.unk_id,
        "cls_token": tokenizer.cls_id,
        "mask_token": tokenizer.mask_id,
    }
    roles = {role: i for role, i in roles.items() if i >= 0}
    separators = [token for token in ("[SEP]", "<sep>") if token in tokenizer.vocab]
    if separators:
        roles["sep_token"] = tokenizer.vocab.index(separators[0])
    if tokenizer.eos_id >= 0 and tokenizer.eos_id not in roles.values():
        roles["eos_token"] = tokenizer.eos_id
    return roles


def _write_kmers(tokenizer: KmerTokenizer, folder: Path, max_length: int) -> None:
    shutil.copyfile(_REMOTE_CODE / f"{_KMER_MODULE}.py", folder / f"{_KMER_MODULE}.py")
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokenizer.vocab), encoding="utf-8")
    pad, unknown, first, last, mask = (
        tokenizer.vocab[i]
        for i in (tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.eos_id, tokenizer.mask_id)
    )
    config = {
        "tokenizer_class": "KmerTokenizer",
        "auto_map": {"AutoTokenizer": [f"{_KMER_MODULE}.KmerTokenizer", None]},
        "k": tokenizer.nucleotides_per_token,
        "alphabet": "rna" if "U" in tokenizer.alphabet else "dna",
        "step": tokenizer.stride,
        "closed": len(tokenizer.encode_text("")) > tokenizer.leading,
        "folding": tokenizer.text_folding,
        "dropped": "-" if isinstance(tokenizer, CodonTokenizer) else "",
        "do_lower_case": False,
        "pad_token": pad,
        "unk_token": unknown,
        "cls_token": first,
        "sep_token": last,
        "mask_token": mask,
    }
    spare = [token for token in tokenizer.special if token not in (pad, unknown, first, last, mask)]
    if spare:
        config["additional_special_tokens"] = spare
    if tokenizer.vocab[: len(SPECIAL)] != SPECIAL:  # only BERT-like models take token types
        config["model_input_names"] = ["input_ids", "attention_mask"]
    _write_config(folder, config, max_length)


def _write_config(folder: Path, config: dict[str, Any], max_length: int) -> None:
    common = {
        "model_max_length": max_length,
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
    }
    text = json.dumps(config | common, indent=2, sort_keys=True) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
