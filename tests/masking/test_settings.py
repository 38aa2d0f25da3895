"""The masking section of a config is strict."""

import pytest
from pydantic import TypeAdapter, ValidationError

from pretrain.errors import PolymeraseError
from pretrain.masking import build_strategy
from pretrain.masking.settings import BaseSettings, MaskingSettings, MotifDatabase, MotifSettings
from pretrain.tokenizers import build_tokenizer


def parse(section):
    return TypeAdapter(MaskingSettings).validate_python(section)


def test_a_section_is_told_by_its_strategy():
    assert parse({"strategy": "span", "max_length": 6}).max_length == 6
    mixture = parse({"strategy": "mixture", "parts": [{"strategy": "base"}, {"strategy": "kmer", "k": 4, "weight": 2}]})
    assert [part.weight for part in mixture.parts] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"strategy": "base", "rates": 0.1}, "rates"),
        ({"strategy": "base", "rate": "0.1"}, "rate"),
        ({"strategy": "base", "rate": 0.0}, "rate"),
        ({"strategy": "base", "mask_fraction": 0.9}, "must be 1, not 1.1"),
        ({"strategy": "base", "random_ids": "vocabulary"}, "random_ids"),
        ({"strategy": "base", "weight": 2.0}, "weight"),
        ({"strategy": "span", "min_length": 9}, "min_length 9 is larger"),
        ({"strategy": "motif"}, "databases"),
        ({"strategy": "mixture", "parts": []}, "parts"),
        ({"strategy": "mixture", "parts": [{"strategy": "base", "label_rate": 0.5}]}, "label_rate"),
        ({"strategy": "spans"}, "spans"),
    ],
)
def test_wrong_keys_and_values_are_named(section, message):
    with pytest.raises(ValidationError, match=message):
        parse(section)


def test_settings_that_do_not_fit_the_vocabulary_are_refused():
    with pytest.raises(PolymeraseError, match="utr_lm has only 10 ids"):
        build_strategy(BaseSettings(random_ids="vocabulary_from:10"), build_tokenizer("utr_lm"))
    motifs = MotifSettings(databases=[MotifDatabase(files=["motifs.txt"])])
    with pytest.raises(PolymeraseError, match="one token per nucleotide, not dnabert_3mer"):
        build_strategy(motifs, build_tokenizer("dnabert_3mer"))
