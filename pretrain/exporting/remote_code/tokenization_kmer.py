"""Overlapping k-mers of 3UTRBERT and DNABERT. Part of an exported model folder: depends on transformers only."""

import os

from transformers import PreTrainedTokenizer

_ALPHABETS = {"rna": ("U", "T"), "dna": ("T", "U")}  # the letter of the vocabulary, and the one read as it


class KmerTokenizer(PreTrainedTokenizer):
    """``[CLS] k-mers [SEP]`` with one token per window of k letters, stride 1.

    Text is raw sequence. Lower case is read as upper case, T and U as the one the vocabulary has; blanks are dropped. A
    window with any other letter is ``[UNK]``; text shorter than k has no k-mer. Special tokens spelled out in the text
    are kept and split it: no k-mer spans them.
    """

    vocab_files_names = {"vocab_file": "vocab.txt"}  # noqa: RUF012
    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012

    def __init__(
        self,
        vocab_file,
        k=None,
        alphabet="rna",
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        **kwargs,
    ):
        with open(vocab_file, encoding="utf-8") as lines:
            self._tokens = [line.rstrip("\n") for line in lines]
        self._ids = {token: i for i, token in enumerate(self._tokens)}
        self.k = k or len(self._tokens[-1])
        self.alphabet = alphabet
        ours, other = _ALPHABETS[alphabet]
        self._fold = {ord(lower): lower.upper() for lower in "abcdefghijklmnopqrstuvwxyz"}
        self._fold |= {ord(other): ours, ord(other.lower()): ours} | {ord(blank): None for blank in " \t\n\r\x0b\x0c"}
        super().__init__(
            k=self.k,
            alphabet=alphabet,
            pad_token=pad_token,
            unk_token=unk_token,
            cls_token=cls_token,
            sep_token=sep_token,
            mask_token=mask_token,
            **kwargs,
        )

    @property
    def vocab_size(self):
        return len(self._tokens)

    def get_vocab(self):
        return self._ids | self.added_tokens_encoder

    def _tokenize(self, text, **kwargs):
        letters = text.translate(self._fold)
        windows = (letters[i : i + self.k] for i in range(len(letters) - self.k + 1))
        # "[ mask ]" folds to "[MASK]": only windows of nucleotides may become tokens
        return [window if window.isalpha() and window in self._ids else str(self.unk_token) for window in windows]

    def _convert_token_to_id(self, token):
        return self._ids.get(token, self._ids[str(self.unk_token)])

    def _convert_id_to_token(self, index):
        return self._tokens[index] if 0 <= index < len(self._tokens) else str(self.unk_token)

    def convert_tokens_to_string(self, tokens):
        """The sequence that the k-mers spell: the first whole, then the last letter of each next."""
        pieces, inside = [], False
        for token in tokens:
            special = token in self.all_special_tokens
            pieces.append(token[-1] if inside and not special else token)
            inside = not special
        return "".join(pieces)

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        ids = [self.cls_token_id, *token_ids_0, self.sep_token_id]
        return ids if token_ids_1 is None else [*ids, *token_ids_1, self.sep_token_id]

    def create_token_type_ids_from_sequences(self, token_ids_0, token_ids_1=None):
        first = [0] * (len(token_ids_0) + 2)
        return first if token_ids_1 is None else first + [1] * (len(token_ids_1) + 1)

    def get_special_tokens_mask(self, token_ids_0, token_ids_1=None, already_has_special_tokens=False):
        if already_has_special_tokens:
            return [int(token in self.all_special_ids) for token in token_ids_0]
        first = [1] + [0] * len(token_ids_0) + [1]
        return first if token_ids_1 is None else first + [0] * len(token_ids_1) + [1]

    def save_vocabulary(self, save_directory, filename_prefix=None):
        name = (filename_prefix + "-" if filename_prefix else "") + self.vocab_files_names["vocab_file"]
        path = os.path.join(save_directory, name)
        with open(path, "w", encoding="utf-8") as lines:
            lines.writelines(token + "\n" for token in self._tokens)
        return (path,)
