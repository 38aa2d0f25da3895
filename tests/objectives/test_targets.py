"""Which positions each objective asks about, and what the right answers are."""

from dataclasses import replace

import numpy as np
import pytest

from data_prep.corpus import Ragged
from pretrain.config.sections import CausalLm, Hierarchical, Mfe, Mlm, RnaType, SoftLabel, Structure
from pretrain.data.raw_batch import Variants
from pretrain.errors import PolymeraseError
from pretrain.masking import Masked
from pretrain.objectives import OBJECTIVES, ObjectiveContext, targets_of_all
from pretrain.tokenizers import build_tokenizer
from tests.objectives.views import view_of

CONTEXT = ObjectiveContext(hidden_size=8)
UTR_LM = build_tokenizer("utr_lm")
SEQUENCES, STRUCTURES = ["GGAAACC", "ACGU", "AAA"], ["((...))", "", ".()"]
# <cls> G G A A A C C <eos> | <cls> A C G U <eos> | <cls> A A A <eos>
OFFSETS = [0, 9, 15, 20]


def pairs(targets) -> list[tuple[int, int]]:
    assert targets.count == len(targets.arrays["index"])
    return list(zip(targets.arrays["index"].tolist(), targets.arrays["target"].tolist(), strict=True))


def structure_targets(selected=None, **settings) -> list[tuple[int, int]]:
    view = view_of(UTR_LM, SEQUENCES, structures=STRUCTURES, selected=selected)
    return pairs(OBJECTIVES["structure"](Structure(**settings), CONTEXT).targets(view))


def test_structure_labels_stand_on_their_nucleotides():
    assert structure_targets() == [(1, 0), (2, 0), (3, 1), (4, 1), (5, 1), (6, 2), (7, 2), (16, 1), (17, 0), (18, 2)]


def test_shifted_structure_labels_stand_one_token_to_the_left_the_first_on_cls():
    expected = [(0, 0), (1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (15, 1), (16, 0), (17, 2)]
    assert structure_targets(label_shift=-1) == expected


def test_symbols_that_are_no_class_are_neither_targets_nor_counted():
    view = view_of(UTR_LM, ["GGAAACC", "ACG"], structures=["(([.].)", "???"])
    targets = OBJECTIVES["structure"](Structure(), CONTEXT).targets(view)
    assert pairs(targets) == [(1, 0), (2, 0), (4, 1), (6, 1), (7, 2)]


def test_structure_of_selected_positions_only():
    selected = [1, 6, 11, 18]
    assert structure_targets(selected, positions="masked") == [(1, 0), (6, 2), (18, 2)]
    assert structure_targets(selected, positions="masked", label_shift=-1) == [(1, 0), (6, 2)]


def test_structure_symbols_of_kmers_are_those_of_their_first_nucleotides():
    tokenizer = build_tokenizer("utrbert_3mer")
    view = view_of(tokenizer, ["GGAAACC"], structures=["((...))"])
    targets = OBJECTIVES["structure"](Structure(), CONTEXT).targets(view)
    assert pairs(targets) == [(1, 0), (2, 0), (3, 1), (4, 1), (5, 1)]


def test_energies_are_read_at_the_first_token_as_z_scores_and_missing_ones_do_not_count():
    context = ObjectiveContext(8, train_splits=({}, {"mfe_kcal_per_mol": {"mean": -10.0, "std": 4.0}}))
    view = view_of(UTR_LM, SEQUENCES, energies=[-6.0, np.nan, -12.0])
    targets = OBJECTIVES["mfe"](Mfe(), context).targets(view)
    assert pairs(targets) == [(0, 1.0), (15, -0.5)]
    assert targets.arrays["valid"].tolist() == [1.0, 1.0]


def test_masked_language_modeling_asks_for_the_original_tokens():
    view = view_of(UTR_LM, SEQUENCES, selected=[2, 5, 12], strategy=[1, 0, 2])
    context = ObjectiveContext(8, strategies=("a", "b", "c"), mask_id=UTR_LM.mask_id)
    targets = OBJECTIVES["mlm"](Mlm(), context).targets(view)
    assert pairs(targets) == [(2, view.tokens.ids[2]), (5, view.tokens.ids[5]), (12, view.tokens.ids[12])]
    assert targets.arrays["group"].tolist() == [1, 1, 0]


@pytest.fixture
def with_alleles():
    """Three sequences; the second and third come from an allele-frequency corpus, with variants at 4 tokens."""
    frequencies = np.array([[0.5, 0.5, 0, 0], [0.1, 0.2, 0.7, 0], [0, 0, 0.25, 0.75], [0, 0.9, 0, 0.1]], np.float32)
    variants = Variants(np.array([1, 1, 2, 2]), np.array([1, 3, 0, 2]), frequencies)
    return view_of(
        build_tokenizer("mutbert"),
        SEQUENCES,
        variants=variants,
        alleles=[False, True, True],
        selected=[3, 10, 11, 13, 18],
    )


def test_soft_labels_are_for_allele_corpora_and_hold_frequencies_where_there_are_several(with_alleles):
    targets = OBJECTIVES["soft_label"](SoftLabel(), CONTEXT).targets(with_alleles)
    ids = with_alleles.tokens.ids
    assert pairs(targets) == [(p, ids[p]) for p in (10, 11, 13, 18)]
    assert targets.arrays["soft_row"].tolist() == [1, 2, 3]  # tokens 11, 13 and 18 have variants, 16 is not selected
    assert np.array_equal(targets.arrays["soft_freq"], with_alleles.reads.variants.freq[[0, 1, 3]])


@pytest.mark.parametrize(("soft", "positions"), [(True, [3]), (False, [3, 10, 11, 13, 18])])
def test_positions_with_soft_labels_are_not_asked_for_twice(with_alleles, soft, positions):
    sections = {"mlm": Mlm()} | ({"soft_label": SoftLabel()} if soft else {})
    objectives = {name: OBJECTIVES[name](section, CONTEXT) for name, section in sections.items()}
    targets = targets_of_all(objectives, with_alleles)
    assert targets["mlm"].arrays["index"].tolist() == positions
    if soft:
        assert targets["soft_label"].arrays["index"].tolist() == [10, 11, 13, 18]


def test_hidden_targets_and_shown_ones_are_told_apart():
    tokens = UTR_LM.encode(Ragged.from_rows([b"GGAAACC"]))
    shown = tokens.ids.copy()
    shown[[2, 6]] = UTR_LM.mask_id
    shown[4] = tokens.ids[1]  # a random token; 5 is kept
    masked = Masked(np.array([2, 4, 5, 6]), shown, np.array([True, True, False, True]), np.zeros(1, np.uint8))
    view = replace(view_of(UTR_LM, ["GGAAACC"]), masked=masked)
    objective = OBJECTIVES["mlm"](Mlm(), ObjectiveContext(8, mask_id=UTR_LM.mask_id))
    targets = objective.targets(view)
    assert [objective.groups[group][0] for group in targets.arrays["group"]] == ["hidden", "shown", "shown", "hidden"]
    assert targets.by_group.tolist() == [2, 2]


def test_the_next_token_is_asked_for_within_each_sequence_only():
    view = view_of(UTR_LM, SEQUENCES[1:])
    context = ObjectiveContext(8, vocabulary=tuple(UTR_LM.vocab))
    ids = view.tokens.ids
    everything = [(n, int(ids[n + 1])) for n in (0, 1, 2, 3, 4, 6, 7, 8, 9)]  # 5 and 10 end their sequences
    assert pairs(OBJECTIVES["causal_lm"](CausalLm(), context).targets(view)) == everything
    ignored = CausalLm(ignored_tokens=["A", UTR_LM.vocab[UTR_LM.eos_id]])
    kept = [pair for pair in everything if UTR_LM.vocab[pair[1]] in "CGTU"]
    assert pairs(OBJECTIVES["causal_lm"](ignored, context).targets(view)) == kept
    with pytest.raises(PolymeraseError, match="ignored_tokens: expected tokens of the vocabulary, got 'Q'"):
        OBJECTIVES["causal_lm"](CausalLm(ignored_tokens=["Q"]), context)


def test_weights_of_positions_are_the_denominator():
    view = view_of(UTR_LM, SEQUENCES, selected=[2, 5, 12])
    weighted = replace(view, weight=np.where(np.arange(20) == 5, 0.25, 1.0).astype(np.float32))
    targets = OBJECTIVES["mlm"](Mlm(), CONTEXT).targets(weighted)
    assert (targets.count, targets.denominator) == (3, 2.25)
    assert targets.arrays["weight"].tolist() == [1.0, 0.25, 1.0]
    following = OBJECTIVES["causal_lm"](CausalLm(), CONTEXT).targets(weighted)
    assert following.denominator == 17 - 0.75  # the weight is that of the token that is predicted
    assert following.arrays["weight"][4] == 0.25


TYPES = ["miRNA", None, "pre_miRNA", "circRNA", "tRNA"]


def typed(*names: str, vocabulary: tuple[str, ...] = ()) -> ObjectiveContext:
    return ObjectiveContext(
        8, vocabulary=vocabulary, train_splits=({"rna_type": dict.fromkeys((*names, "(none)"), 1)},)
    )


CLASSES = typed("tRNA", "miRNA", "pre_miRNA")


def test_types_are_classes_at_the_first_token_and_unknown_ones_do_not_count():
    view = view_of(UTR_LM, ["ACG"] * 5, types=TYPES)
    targets = OBJECTIVES["rna_type"](RnaType(), CLASSES).targets(view)
    assert pairs(targets) == [(0, 0), (10, 1), (20, 2)]


def test_types_in_the_label_slot_are_tokens_and_only_hidden_ones_are_asked_for():
    tokenizer = build_tokenizer("rnaernie", label_slot=True)
    names = ("circRNA", "miRNA", "pre_miRNA", "tRNA")
    vocabulary = {token: number for number, token in enumerate(tokenizer.vocab)}
    context = typed(*names, vocabulary=tuple(tokenizer.vocab))
    # [CLS] A C G [IND] TYPE [SEP]: 7 tokens each, slots at 5, 12, ...; all but the first are hidden
    slots = [12, 19, 26, 33]
    view = view_of(tokenizer, ["ACG"] * 5, types=TYPES, selected=[2, *slots])
    objectives = {
        "mlm": OBJECTIVES["mlm"](Mlm(), context),
        "rna_type": OBJECTIVES["rna_type"](RnaType(mode="label_token"), context),
    }
    targets = targets_of_all(objectives, view)
    assert pairs(targets["rna_type"]) == [(19, vocabulary["premiRNA"]), (33, vocabulary["tRNA"])]
    assert targets["mlm"].arrays["index"].tolist() == [2]
    without = OBJECTIVES["mlm"](Mlm(), CONTEXT).targets(view)
    assert without.arrays["index"].tolist() == [2, *slots]


EMPTY = {
    "mlm": (Mlm(), {}),
    "causal_lm": (CausalLm(ignored_tokens=list(UTR_LM.vocab)), {}),
    "hierarchical": (Hierarchical(tree="codons"), {}),
    "soft_label": (SoftLabel(), {"selected": [2]}),
    "structure": (Structure(), {"selected": [2]}),
    "mfe": (Mfe(), {"selected": [2]}),
    "rna_type": (RnaType(), {"selected": [2]}),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_without_anything_to_learn_the_count_is_zero(name):
    settings, changes = EMPTY[name]
    vocabulary = tuple(UTR_LM.vocab) if name == "causal_lm" else ()
    context = typed("tRNA", "miRNA", "pre_miRNA", vocabulary=vocabulary)
    targets = OBJECTIVES[name](settings, context).targets(view_of(UTR_LM, ["ACGU"], **changes))
    assert (targets.count, targets.denominator, targets.denominators.sum()) == (0, 0, 0)
    assert len(targets.arrays["index"]) == 1  # one position, so that every parameter is used
