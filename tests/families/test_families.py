"""Families as data: sizes, ids, tensor names and configs agree with specification, tokenizers and transformers."""

import pytest
import torch
import transformers

from pretrain.config import known_keys
from pretrain.errors import PolymeraseError
from pretrain.exporting.tensors import export_tensors
from pretrain.families import FAMILIES, TRANSFORMS, find_family
from pretrain.families.keys import in_pieces
from pretrain.families.published import parameter_count, published_model
from pretrain.masking.settings import BasePart, MotifPart, SpanPart
from pretrain.models import LanguageModel
from pretrain.models.padded import unpad
from pretrain.models.transformer.settings import RopeScaling
from pretrain.tokenizers import TOKENIZERS
from tests.families.tiny import tiny

EVERY = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
NATIVE = pytest.mark.parametrize(
    "family", [f for f in FAMILIES.values() if f.hugging_face.kind == "native"], ids=lambda family: family.name
)
# what published files hold in all, poolers and the like included (specifications, sections b)
PUBLISHED_TOTALS = {
    "ernie_rna": 86_261_113,
    "rnaernie": 86_664_231,
    "rnaernie2": 87_230_987,
    "utr_lm": 1_208_559,
    **{f"{kind}_3mer": 86_686_533 for kind in ("utrbert", "dnabert")},
    **{f"{kind}_4mer": 86_834_181 for kind in ("utrbert", "dnabert")},
    **{f"{kind}_5mer": 87_424_773 for kind in ("utrbert", "dnabert")},
    **{f"{kind}_6mer": 89_787_141 for kind in ("utrbert", "dnabert")},
    "mutbert": 85_656_585,
    "gpn_brassicales": 65_880_071,
    "gpn_convnet": 93_091_328,
    "gpn_promoter": 152_189_952,
    "hyenadna_tiny_1k_d128": 436_096,
    "hyenadna_tiny_1k": 1_641_088,
    "hyenadna_small_32k": 3_277_568,
    **{f"hyenadna_{name}": 6_550_528 for name in ("medium_160k", "medium_450k", "large_1m")},
    **dict.fromkeys(("evo1_8k", "evo1_131k"), 6452781056),
    "rinalmo_giga": 650_901_793,
    "rinalmo_mega": 148_056_972,
    "rinalmo_micro": 33_491_074,
    "rinalmo_nano": 7_508_824,
    "nt_v1_500m": 485_698_825,
    "nt_v1_2b5": 2_547_800_585,
    "nt_v2_50m": 54_855_179,
    "nt_v2_100m": 96_839_179,
    "nt_v2_250m": 233_545_995,
    "nt_v2_500m": 496_245_771,
    "dnabert2": 117_664_768,
    "methylbert": 86_686_533,
    "methylbert_6l": 44_159_301,
    "helm_mlm": 50_636_800,
    "helm_clm": 50_636_800,
}
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def tiny_model(family) -> LanguageModel:
    torch.manual_seed(0)
    return published_model(tiny(family), family.heads)


@EVERY
def test_parameters_equal_the_specification(family):
    assert parameter_count(family.settings, family.heads) == family.parameters
    assert family.parameters + family.unused_parameters == PUBLISHED_TOTALS[family.name]


@EVERY
def test_ids_agree_with_the_tokenizer(family):
    if family.tokenizer == "bpe":
        pytest.skip("its tokens stand in a file beside the weights")
    tokenizer, settings = TOKENIZERS[family.tokenizer](), family.settings
    rows = 16 if family.tokenizer == "hyenadna" else len(tokenizer.vocab)  # filled up to a multiple of 8
    assert (settings.vocab_size, settings.pad_token_id, settings.mask_token_id) == (
        rows,
        tokenizer.pad_id,
        tokenizer.mask_id,
    )
    if settings.base_token_ids is not None:
        assert "".join(tokenizer.vocab[i] for i in settings.base_token_ids).upper() in ("ACGU", "ACGT")


@EVERY
@pytest.mark.parametrize("side", ["upstream", "hugging_face"])
def test_every_tensor_has_one_published_name_and_comes_back(family, side):
    layout = family.upstream if side == "upstream" else family.hugging_face.keys
    names = [name for name in tiny_model(family).state_dict() if side == "upstream" or not name.startswith("heads.")]
    theirs = [layout.to_theirs(name)[0] for name in names]
    assert len(set(theirs)) == len(names)
    assert [layout.to_ours(key)[0] for key in theirs] == names


@EVERY
def test_quirks_are_keys_of_the_config(family):
    whole = {key for key in family.quirks if not key.startswith("masking.parts.")}
    assert whole <= set(known_keys())
    for key in family.quirks.keys() - whole:
        strategy, name = key.removeprefix("masking.parts.").split(".")
        assert name in {"base": BasePart, "span": SpanPart, "motif": MotifPart}[strategy].model_fields


def test_transforms_undo_each_other():
    tensor = torch.randn(3, 5)
    for to_ours, to_theirs in TRANSFORMS.values():
        assert torch.equal(to_theirs(to_ours(tensor)), tensor)


def our_names(family) -> list[str]:
    return [name for name in tiny_model(family).state_dict() if not name.startswith("heads.")]


def whole(key: str) -> str:
    """The published tensor that a piece belongs to."""
    return key.partition("[")[0]


def reads_pads_otherwise(family) -> bool:
    """A pad among the tokens: EsmModel counts no position for it, and GPT2Model trains its row like any other."""
    learned = family.settings.position_embedding_type == "learned"
    return family.hugging_face.model_type == "gpt2" or (family.hugging_face.model_type == "esm" and learned)


@NATIVE
def test_native_class_knows_every_tensor_and_has_no_other(family):
    kind = getattr(transformers, family.hugging_face.masked_lm_class)
    theirs = kind(kind.config_class(**family.hugging_face.config(family.resized(TINY))))
    layout = family.hugging_face.keys
    needed = {whole(layout.to_theirs(name)[0]) for name in our_names(family)}
    present = set(theirs.state_dict())
    assert needed <= present
    for key in present - needed:
        unused = layout.to_ours(key)
        assert key in layout.duplicates or layout.is_ignorable(key) or unused[0].startswith("unused."), key


@NATIVE
def test_gradients_equal_the_native_class(family):
    kind = getattr(transformers, family.hugging_face.masked_lm_class)
    theirs = kind(kind.config_class(**family.hugging_face.config(family.resized(TINY)))).eval()
    ours, layout = tiny_model(family).eval(), family.hugging_face.keys
    published = export_tensors(family, ours.settings, ours.state_dict(), "mlm").model
    theirs.load_state_dict(published, strict=False)
    theirs.tie_weights()
    ids = torch.randint(0, family.settings.vocab_size, (2, 16))
    pad = family.settings.pad_token_id
    if reads_pads_otherwise(family):
        ids[ids == pad] = pad + 1
    else:
        ids[:, 3] = pad  # a random replacement may draw it; its row then gets no gradient
    everywhere = torch.ones_like(ids, dtype=torch.bool)
    theirs(input_ids=ids, attention_mask=everywhere.long()).logits.square().mean().backward()
    ours(unpad(ids, everywhere).batch).square().mean().backward()
    gradients = in_pieces(
        layout, {name: each.grad for name, each in theirs.named_parameters() if each.grad is not None}
    )
    for name, parameter in ours.named_parameters():
        if not name.startswith("heads."):
            key, rule = layout.to_theirs(name)
            expected = TRANSFORMS[rule.transform][0](gradients[key])
            torch.testing.assert_close(
                parameter.grad, expected, atol=2e-6, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_published_kmer_heads_keep_upstreams_logits():
    """Upstream computes W h + 2 b; the imported head has bias 2 b."""
    family = FAMILIES["utrbert_3mer"]
    ours, rule = family.upstream.to_ours("cls.predictions.bias")
    assert ours == "mlm_head.bias"
    assert torch.equal(TRANSFORMS[rule.transform][0](torch.tensor([0.5])), torch.tensor([1.0]))


def test_sizes_come_from_a_config_and_rope_scaling_in_every_spelling():
    mutbert = FAMILIES["mutbert"]
    assert mutbert.resized({"hidden_size": 96, "unknown": 1}).hidden_size == 96
    assert mutbert.resized({"rope_scaling": None}).rope_scaling is None
    assert mutbert.resized({"rope_scaling": {"rope_theta": 1e4, "rope_type": "default"}}).rope_scaling is None
    scaling = RopeScaling("dynamic", 2.0)
    assert mutbert.resized({"rope_scaling": {"type": "dynamic", "factor": 2.0}}).rope_scaling == scaling
    assert mutbert.resized({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}).rope_scaling == scaling


@EVERY
def test_config_and_settings_are_inverse(family):
    settings = tiny(family)
    assert family.resized(family.hugging_face.config(settings)) == settings


def test_unknown_family_names_the_nearest():
    with pytest.raises(PolymeraseError, match="did you mean 'ernie_rna'"):
        find_family("ernie-rna")
