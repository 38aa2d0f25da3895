"""Motif lists are read as promised, and every occurrence is found."""

from itertools import product

import numpy as np
import pytest

from pretrain.errors import PolymeraseError
from pretrain.masking import SideInformation, build_strategy
from pretrain.masking.motif_finder import MotifFinder
from pretrain.masking.motif_list import load_motifs
from pretrain.masking.settings import MotifDatabase, MotifSettings
from pretrain.tokenizers import build_tokenizer
from tests.masking.samples import encode, random_rows, streams

TOKENIZER = build_tokenizer("rnaernie")


def load(folder, text, alphabet="normalised", min_length=1):
    file = folder / "list.txt"
    file.write_text(text, encoding="utf-8")
    return load_motifs([str(file)], alphabet, TOKENIZER, min_length)


def test_case_u_and_t_are_one_and_repeats_collapse(tmp_path):
    assert load(tmp_path, "# comment\nACGU\n\nacgt\nACGT  \n") == {(0, 1, 2, 3)}


def test_ambiguity_codes_stand_for_each_of_their_letters(tmp_path):
    assert load(tmp_path, "RAY\n") == {(0, 0, 1), (0, 0, 3), (2, 0, 1), (2, 0, 3)}
    assert len(load(tmp_path, "NNB\n")) == 48


def test_short_motifs_are_left_out(tmp_path):
    assert load(tmp_path, "ACG\nACGU\n", min_length=4) == {(0, 1, 2, 3)}


def test_literal_u_is_unknown_to_a_vocabulary_with_t(tmp_path):
    assert load(tmp_path, "AUT\n", "literal") == {(0, 4, 3)}


@pytest.mark.parametrize(
    ("text", "alphabet", "message"),
    [
        ("ACGU\nACXU\n", "normalised", r"list.txt, line 2: 'X' in 'ACXU' is not a nucleotide"),
        ("ACGU\nMKLVE\n", "normalised", r"list.txt, line 2: 'L'"),
        ("ACGU AAA\n", "normalised", r"list.txt, line 1: ' '"),
        ("ACGN\n", "literal", r"list.txt, line 1: 'N' in 'ACGN' is not A, C, G, T or U"),
        ("NNNNNNNNNN\n", "normalised", r"list.txt, line 1: 'NNNNNNNNNN' stands for more than 4096"),
        ("\n# nothing\n", "normalised", r"list.txt: no motif"),
        ("ACGU\nAC\u017fU\n", "normalised", r"list.txt, line 2: '\u017f'"),  # a letter whose upper case is S
    ],
)
def test_a_bad_list_is_named_with_file_and_line(tmp_path, text, alphabet, message):
    with pytest.raises(PolymeraseError, match=message) as error:
        load(tmp_path, text, alphabet)
    assert "\n" not in str(error.value)


def test_a_binary_file_is_no_list(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\x1f\x8b\x08\x00\xff\xfe")
    with pytest.raises(PolymeraseError, match=r"list.txt: not plain text"):
        load_motifs([str(tmp_path / "list.txt")], "normalised", TOKENIZER, 1)


def test_a_missing_list_is_named():
    with pytest.raises(PolymeraseError, match=r"nowhere.txt: No such file"):
        load_motifs(["nowhere.txt"], "normalised", TOKENIZER, 1)


def brute_force(row, databases):
    """(start, end, bit set) of every occurrence, by comparing every window."""
    digits = ["ACGT".find(letter) for letter in row.decode().replace("U", "T")]
    found = {}
    for number, motifs in enumerate(databases):
        for motif in motifs:
            for start in range(len(digits) - len(motif) + 1):
                if tuple(digits[start : start + len(motif)]) == motif:
                    key = (start, start + len(motif))
                    found[key] = found.get(key, 0) | 1 << number
    return found


def occurrences(finder, rows):
    tokens = encode(TOKENIZER, rows)
    matches = finder.find(tokens)
    found = [{} for _ in rows]
    for start, length, databases in zip(*(column.tolist() for column in matches), strict=True):
        s = int(np.searchsorted(tokens.offsets, start, side="right")) - 1
        first = int(tokens.nucleotide[start])
        assert (first, first + length) not in found[s]
        found[s][first, first + length] = databases
    return found


def test_every_occurrence_is_found_and_no_other():
    generator = np.random.default_rng(3)
    rows = random_rows([0, 1, 9, 10, 11, 40, 200, 300], letters=b"ACGUACGUACGUN")
    # motifs of all lengths around the block length, cut from the sequences so that they do occur
    letters = rows[-1].decode().replace("U", "T") + rows[-2].decode().replace("U", "T")
    motifs = set()
    for length in (1, 2, 4, 9, 10, 11, 19, 20, 21, 37):
        for start in generator.integers(0, 400, 12):
            word = letters[start : start + length]
            if "N" not in word and len(word) == length:
                motifs.add(tuple("ACGT".index(letter) for letter in word))
    databases = [set(sorted(motifs)[::2]), set(sorted(motifs)[::3]) | {(3, 3, 3, 3)}]
    assert occurrences(MotifFinder(databases, TOKENIZER), rows) == [brute_force(row, databases) for row in rows]


def test_whole_motifs_are_masked_and_the_rest_of_the_budget_is_filled_or_left(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("\n".join("".join(word) for word in product("ACGU", repeat=4)))
    rows = random_rows([54] * 300)  # a budget of 8: two 4-mers
    tokens = encode(TOKENIZER, rows)
    for shortfall in ("none", "fill"):
        chosen = MotifSettings(databases=[MotifDatabase(files=[str(file)])], shortfall=shortfall)
        masked = build_strategy(chosen, TOKENIZER)(tokens, SideInformation(), streams(range(300)))
        selected = np.isin(np.arange(len(tokens.ids)), masked.positions)
        assert (tokens.per_sequence(selected) == 8).all()
        for s in range(300):
            runs = "".join("x" if x else " " for x in selected[tokens.offsets[s] : tokens.offsets[s + 1]]).split()
            assert sorted(map(len, runs)) in ([4, 4], [8])
    file.write_text("ACGUACGUAC\n")  # longer than the budget: never selected
    for shortfall, expected in (("none", 0), ("fill", 8)):
        chosen = MotifSettings(databases=[MotifDatabase(files=[str(file)])], shortfall=shortfall)
        masked = build_strategy(chosen, TOKENIZER)(
            encode(TOKENIZER, [b"ACGUACGUAC" * 5 + b"ACGU"]), SideInformation(), streams([0])
        )
        assert len(masked.positions) == expected


def test_a_database_is_tried_first_as_often_as_its_weight_says(tmp_path):
    common, rare = tmp_path / "common.txt", tmp_path / "rare.txt"
    common.write_text("".join(f"{''.join(word)}\n" for word in product("ACGU", repeat=4) if word[0] != "G"))
    rare.write_text("GGGG\n")
    tokens = encode(TOKENIZER, [b"ACACACACACAGGGGACACACACACAC"] * 4000)  # a budget of 4: one motif each
    for weight in (1.0, 3.0):
        databases = [MotifDatabase(files=[str(common)]), MotifDatabase(files=[str(rare)], weight=weight)]
        strategy = build_strategy(MotifSettings(databases=databases), TOKENIZER)
        masked = strategy(tokens, SideInformation(), streams(range(4000)))
        of_rare = np.isin(tokens.offsets[:-1] + 12, masked.positions) & np.isin(
            tokens.offsets[:-1] + 15, masked.positions
        )
        assert of_rare.mean() == pytest.approx(weight / (1 + weight), abs=0.035)
    in_turn = MotifSettings(databases=[databases[1], databases[0]], order="in_turn")
    masked = build_strategy(in_turn, TOKENIZER)(tokens, SideInformation(), streams(range(4000)))
    assert (masked.positions.reshape(4000, 4) == tokens.offsets[:-1, None] + np.arange(12, 16)).all()
