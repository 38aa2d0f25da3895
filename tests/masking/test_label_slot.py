"""The RNA type behind a sequence can be hidden."""

import numpy as np
import pytest

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.masking import SideInformation, build_strategy
from pretrain.masking.settings import BasePart, BaseSettings, MixtureSettings, SpanPart
from pretrain.tokenizers import build_tokenizer
from tests.masking.samples import random_rows, streams

MIXTURE = MixtureSettings(parts=[BasePart(), SpanPart()], label_rate=0.3)


@pytest.mark.parametrize("settings", [BaseSettings(label_rate=0.3), MIXTURE])
def test_a_share_of_the_types_is_hidden_and_the_rest_is_as_without(settings):
    tokenizer = build_tokenizer("rnaernie", label_slot=True)
    tokens = tokenizer.encode(Ragged.from_rows(random_rows([30] * 3000)), ["tRNA", "rRNA", None] * 1000)
    masked = build_strategy(settings, tokenizer)(tokens, SideInformation(), streams(range(3000)))
    plain = build_strategy(settings.model_copy(update={"label_rate": 0.0}), tokenizer)(
        tokens, SideInformation(), streams(range(3000))
    )
    hidden = np.isin(tokens.label_position, masked.positions)
    assert hidden.mean() == pytest.approx(0.3, abs=0.035)
    assert (masked.input_ids[tokens.label_position] == tokenizer.mask_id).tolist() == hidden.tolist()
    slots = np.isin(masked.positions, tokens.label_position)
    assert masked.replaced[slots].all()
    assert masked.positions[~slots].tolist() == plain.positions.tolist()
    assert masked.replaced[~slots].tolist() == plain.replaced.tolist()
    assert not np.isin(tokens.label_position, plain.positions).any()
    assert (np.diff(masked.positions) > 0).all()


def test_a_layout_without_types_has_nothing_to_hide():
    with pytest.raises(PolymeraseError, match=r"set corpus\.label_slot=true"):
        build_strategy(BaseSettings(label_rate=0.1), build_tokenizer("rnaernie"))
