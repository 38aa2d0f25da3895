"""Windows of k letters as tokens. Part of an exported model folder: depends on numpy and transformers only."""

import os
import re
from itertools import pairwise

import numpy as np
from transformers import BatchEncoding, PreTrainedTokenizer

_BLANKS = " \t\n\r\x0b\x0c"
_OTHER = 4  # the digit of every letter that is no nucleotide


class KmerTokenizer(PreTrainedTokenizer):
    """``[CLS] k-mers [SEP]`` with one token per window of k letters; the next window begins ``step`` letters later.

    Text is raw sequence. Lower case is read as upper case, and T and U as the one the vocabulary has, unless
    ``folding`` is ``none``. Blanks are dropped; but pieces of k letters between blanks are taken as the k-mers
    they are where each overlaps the one before, and refused where they do not. Words (``is_split_into_words``) are
    pieces between blanks.
    A window with any other letter is ``[UNK]``; text shorter than k has no k-mer. Special and added tokens spelled out
    in the text are kept and split it: no k-mer spans them. Offsets are those of the window in the text.
    """

    vocab_files_names = {"vocab_file": "vocab.txt"}  # noqa: RUF012
    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012

    def __init__(
        self,
        vocab_file,
        k=None,
        alphabet="rna",
        step=1,
        closed=True,
        folding="all",
        dropped="",
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
        self.alphabet, self.step, self.closed, self.folding, self.dropped = alphabet, step, closed, folding, dropped
        self._gap = re.compile(f"[{re.escape(_BLANKS + dropped)}]+")
        self._plain_spans = []
        self._digits = self._digit_table()
        self._id_of_number = self._number_table()
        super().__init__(
            k=self.k,
            alphabet=alphabet,
            step=step,
            closed=closed,
            folding=folding,
            dropped=dropped,
            pad_token=pad_token,
            unk_token=unk_token,
            cls_token=cls_token,
            sep_token=sep_token,
            mask_token=mask_token,
            **kwargs,
        )

    def _digit_table(self):
        """Digit of every byte: the vocabulary's nucleotides 0 to 3, with what is folded to them."""
        table = bytearray([_OTHER]) * 256
        for digit, letter in enumerate("ACGU" if self.alphabet == "rna" else "ACGT"):
            alike = {letter} | ({"T", "U"} if letter in "TU" and self.folding == "all" else set())
            alike |= {one.lower() for one in alike} if self.folding != "none" else set()
            for one in alike:
                table[ord(one)] = digit
        return bytes(table)

    def _number_table(self):
        """Id of every k-mer read as a number to base 4; the unknown id where the vocabulary lacks it."""
        letters = {letter: digit for digit, letter in enumerate("ACGU" if self.alphabet == "rna" else "ACGT")}
        table = np.full(4**self.k, -1, np.int32)
        for token, i in self._ids.items():
            if len(token) == self.k and all(letter in letters for letter in token):
                table[sum(letters[letter] * 4**place for place, letter in enumerate(reversed(token)))] = i
        return table

    @property
    def vocab_size(self):
        return len(self._tokens)

    def get_vocab(self):
        return self._ids | self.added_tokens_encoder

    def encode_letters(self, text):
        """Ids of a text without special tokens around it, and where each token begins and ends: int32 (T,) each."""
        added = self.added_tokens_encoder
        ids, starts, ends, done = [], [], [], 0
        pattern = "|".join(re.escape(token) for token in sorted(added, key=len, reverse=True))
        for found in [*re.finditer(pattern, text), None]:
            piece = self._windows(text[done : found.start()] if found else text[done:])
            for parts, part in zip((ids, starts, ends), (piece[0], piece[1] + done, piece[2] + done), strict=True):
                parts.append(part)
            if found:
                for parts, value in zip((ids, starts, ends), (added[found[0]], *found.span()), strict=True):
                    parts.append(np.array([value], np.int32))
                done = found.end()
        return tuple(np.concatenate(parts).astype(np.int32) for parts in (ids, starts, ends))

    def _windows(self, piece):
        """Ids, starts and ends of the windows of a piece without special tokens."""
        letters, places = piece, None
        if self._gap.search(piece):
            words = [(m.group(), m.start()) for m in re.finditer(f"[^{re.escape(_BLANKS + self.dropped)}]+", piece)]
            if self.step == 1 and len(words) > 1 and all(len(word) == self.k for word, _ in words):
                return self._overlapping(words)
            letters = "".join(word for word, _ in words)
            places = np.concatenate([np.arange(at, at + len(word)) for word, at in words] or [np.arange(0)])
        ids = self._ids_of(letters)
        first = np.arange(0, len(ids) * self.step, self.step)
        if places is None:
            return ids, first, first + self.k
        return ids, places[first], places[first + self.k - 1] + 1

    def _overlapping(self, words):
        """The same where the pieces between blanks are k-mers already."""
        joined = words[0][0] + "".join(word[-1] for word, _ in words[1:])
        folded = [self._folded(word) for word, _ in words]
        for before, after in pairwise(folded):
            if before[1:] != after[:-1]:
                raise ValueError(
                    f"blanks cut this text into pieces of {self.k} letters that do not overlap ({words[0][0]} "
                    f"{words[1][0]} …); give the sequence without blanks, or overlapping {self.k}-mers"
                )
        starts = np.array([at for _, at in words])
        return self._ids_of(joined), starts, starts + self.k

    def _folded(self, letters):
        return letters.encode("latin-1", "replace").translate(self._digits)

    def _ids_of(self, letters):
        digit = np.frombuffer(self._folded(letters), np.uint8)
        count = max(len(digit) - self.k + 1, 0)
        number, other = np.zeros(count, np.int32), np.zeros(count, bool)
        is_other = digit == _OTHER
        for j in range(self.k):
            number = number * 4 + digit[j : j + count]
            other |= is_other[j : j + count]
        number[other] = 0
        ids = self._id_of_number[number]
        ids[other | (ids < 0)] = self._ids[str(self.unk_token)]
        return ids[:: self.step]

    def tokenize(self, text, pair=None, add_special_tokens=False, **kwargs):
        tokens = self.convert_ids_to_tokens(self.encode_letters(text)[0].tolist())
        return [self.cls_token, *tokens, *([self.sep_token] if self.closed else [])] if add_special_tokens else tokens

    def _tokenize(self, text, **kwargs):
        return self.tokenize(text)

    def _encode_plus(self, text, text_pair=None, *, is_split_into_words=False, **options):
        if is_split_into_words and text_pair is None:
            batched = bool(text) and isinstance(text[0], (list, tuple))
            text = [" ".join(words) for words in text] if batched else " ".join(text)
            is_split_into_words = False
            if options.get("return_offsets_mapping"):
                raise ValueError("k-mers span words, so there are no offsets in words; give the sequence as one text")
        texts = text if isinstance(text, (list, tuple)) else [text]
        if text_pair is not None or not texts or not all(isinstance(one, str) for one in texts):
            return super()._encode_plus(text, text_pair, is_split_into_words=is_split_into_words, **options)
        return self._encode_all(texts, one=isinstance(text, str), **options)

    def _batch_encode_plus(self, batch_text_or_text_pairs, is_split_into_words=False, **options):
        """Encode a batch: transformers 4 calls this, transformers 5 ``_encode_plus``."""
        rows = batch_text_or_text_pairs
        if rows and (is_split_into_words or all(isinstance(row, str) for row in rows)):
            return self._encode_plus(list(rows), is_split_into_words=is_split_into_words, **options)
        return super()._batch_encode_plus(rows, is_split_into_words=is_split_into_words, **options)

    def _encode_all(
        self,
        texts,
        *,
        one,
        add_special_tokens=True,
        padding_strategy=None,
        truncation_strategy=None,
        max_length=None,
        stride=0,
        pad_to_multiple_of=None,
        padding_side=None,
        return_tensors=None,
        return_token_type_ids=None,
        return_attention_mask=None,
        return_overflowing_tokens=False,
        return_special_tokens_mask=False,
        return_offsets_mapping=False,
        return_length=False,
        **_,
    ):
        """A batch of single texts, each read at once."""
        first = [self.cls_token_id] if add_special_tokens else []
        last = [self.sep_token_id] if add_special_tokens and self.closed else []
        room = None
        if getattr(truncation_strategy, "value", "do_not_truncate") != "do_not_truncate" and max_length is not None:
            room = max(max_length - len(first) - len(last), 0)
        rows, samples = [], []
        for sample, text in enumerate(texts):
            read = self.encode_letters(text)
            for part in _parts(len(read[0]), room, stride, self.truncation_side, return_overflowing_tokens):
                rows.append([values[part] for values in read])
                samples.append(sample)
        batch = {"input_ids": [[*first, *ids.tolist(), *last] for ids, _, _ in rows]}
        lengths = [len(ids) for ids in batch["input_ids"]]
        if return_token_type_ids or (return_token_type_ids is None and "token_type_ids" in self.model_input_names):
            batch["token_type_ids"] = [[0] * length for length in lengths]
        if return_special_tokens_mask:
            special = np.zeros(len(self), bool)
            special[list(self.all_special_ids)] = True
            batch["special_tokens_mask"] = [special[ids].astype(int).tolist() for ids in batch["input_ids"]]
        if return_length:
            batch["length"] = lengths
        batch = self.pad(
            batch,
            padding=getattr(padding_strategy, "value", "do_not_pad"),
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side,
            return_attention_mask=return_attention_mask,
        )
        if return_offsets_mapping:
            around = ([(0, 0)] * len(first), [(0, 0)] * len(last))
            spans = [[*around[0], *self._spans(a, b), *around[1]] for _, a, b in rows]
            left = (padding_side or self.padding_side) == "left"
            fills = [[(0, 0)] * (len(ids) - len(row)) for ids, row in zip(batch["input_ids"], spans, strict=True)]
            batch["offset_mapping"] = [f + s if left else s + f for f, s in zip(fills, spans, strict=True)]
        if return_overflowing_tokens:
            batch["overflow_to_sample_mapping"] = samples
        if one and return_tensors is None and not return_overflowing_tokens:
            batch = {name: values[0] for name, values in batch.items()}
        return BatchEncoding(dict(batch), tensor_type=return_tensors)

    def _spans(self, starts, ends):
        """(start, end) of each token. Those of plain sequence are the same for every text, so they are made once."""
        count = len(starts)
        neighbors = count and starts[-1] - starts[0] == ends[-1] - ends[0] == count - 1
        if not neighbors or ends[0] - starts[0] != self.k:
            return list(zip(starts.tolist(), ends.tolist(), strict=True))
        first = int(starts[0])
        self._plain_spans.extend((i, i + self.k) for i in range(len(self._plain_spans), first + count))
        return self._plain_spans[first : first + count]

    def _decode(self, token_ids, skip_special_tokens=False, **kwargs):
        ids = [token_ids] if isinstance(token_ids, int) else list(token_ids)
        return self.convert_tokens_to_string(self.convert_ids_to_tokens(ids, skip_special_tokens=skip_special_tokens))

    def _convert_token_to_id(self, token):
        return self._ids.get(token, self._ids[str(self.unk_token)])

    def _convert_id_to_token(self, index):
        return self._tokens[index] if 0 <= index < len(self._tokens) else str(self.unk_token)

    def convert_tokens_to_string(self, tokens):
        """The sequence that the k-mers spell: the first whole, then the last letter of each overlapping one.

        Encoded again it gives the same k-mers, masks between them included.
        """
        pieces, before = [], None
        added = self.added_tokens_encoder
        for token in tokens:
            overlaps = self.step == 1 and before is not None and token[:-1] == before[1:]
            is_kmer = token not in added
            pieces.append(token[-1] if overlaps and is_kmer else token)
            before = token if is_kmer else None
        return "".join(pieces)

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        last = [self.sep_token_id] if self.closed else []
        ids = [self.cls_token_id, *token_ids_0, *last]
        return ids if token_ids_1 is None else [*ids, *token_ids_1, *last]

    def create_token_type_ids_from_sequences(self, token_ids_0, token_ids_1=None):
        first = [0] * (len(token_ids_0) + 1 + self.closed)
        return first if token_ids_1 is None else first + [1] * (len(token_ids_1) + self.closed)

    def get_special_tokens_mask(self, token_ids_0, token_ids_1=None, already_has_special_tokens=False):
        if already_has_special_tokens:
            return [int(token in self.all_special_ids) for token in token_ids_0]
        last = [1] if self.closed else []
        first = [1] + [0] * len(token_ids_0) + last
        return first if token_ids_1 is None else first + [0] * len(token_ids_1) + last

    def save_vocabulary(self, save_directory, filename_prefix=None):
        name = (filename_prefix + "-" if filename_prefix else "") + self.vocab_files_names["vocab_file"]
        path = os.path.join(save_directory, name)
        with open(path, "w", encoding="utf-8") as lines:
            lines.writelines(token + "\n" for token in self._tokens)
        return (path,)


def _parts(length, room, stride, side, overflowing):
    """Slices of a row of tokens: all of it, what fits, or windows that share ``stride`` tokens until all is shown."""
    if room is None or length <= room:
        return [slice(0, length)]
    if not overflowing:
        return [slice(length - room, length) if side == "left" else slice(0, room)]
    if stride >= room:
        raise ValueError(f"stride {stride} should be below the {room} tokens that a window holds")
    starts = range(0, length - stride, room - stride)
    return [slice(start, min(start + room, length)) for start in starts]
