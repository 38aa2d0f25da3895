"""References of the transformer families whose goldens are padded batches: ids, a mask, and upstream's logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from pretrain.families.family import Family
from pretrain.families.published import our_tensors, published_model
from pretrain.models.architecture import architecture_of
from pretrain.models.padded import unpad
from pretrain.models.record import with_fields


@dataclass(frozen=True)
class PaddedGolden:
    """The place of a golden, and its small model.

    Attributes:
        folder: under ``tests/golden``.
        sizes: settings that differ from the published ones.
        tolerance: that its origin states.
        prefix: of its names in ``io.safetensors``; weights_prefix: of those in ``weights.safetensors``.
        ids, mask, logits: names behind the prefix; without a mask, padding is recognized by the family's pad id.
        without: weights that this variant does not have.
    """

    folder: str
    sizes: Mapping[str, Any]
    tolerance: float = 2e-5
    prefix: str = ""
    weights_prefix: str = ""
    ids: str = "input_ids"
    mask: str | None = "attention_mask"
    logits: str = "logits"
    without: tuple[str, ...] = field(default=())

    def difference(self, family: Family, golden: Path) -> float:
        """Return the largest difference of logits on real tokens."""
        io, published = load_file(golden / self.folder / "io.safetensors"), self.weights(golden)
        tensors = our_tensors(family.upstream, published)
        told = {**self.sizes, **family.more_sizes(tensors)}
        settings = with_fields(architecture_of(family.settings), told, family.settings)
        model = published_model(settings).eval()
        model.load_state_dict(tensors)
        ids, expected = io[self.prefix + self.ids].long(), io[self.prefix + self.logits]
        ids = ids[:, : expected.shape[1]]
        real = ids != family.settings.pad_token_id if self.mask is None else io[self.prefix + self.mask].bool()
        packed = unpad(ids, real)
        return (model(packed.batch) - packed.pick(expected)).abs().max().item()

    def weights(self, golden: Path) -> dict[str, Tensor]:
        """Return the published tensors."""
        tensors = load_file(golden / self.folder / "weights.safetensors")
        return {
            name.removeprefix(self.weights_prefix): tensor
            for name, tensor in tensors.items()
            if name.startswith(self.weights_prefix) and name not in self.without
        }


_TINY = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
_NT_V1 = {**_TINY, "vocab_size": 25, "max_position_embeddings": 42}
_NT_V2 = {**_TINY, "vocab_size": 27, "intermediate_size": 40}
_HELM = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
_NO_POSITIONS = ("model.wpe.weight",)
PADDED_GOLDENS = {
    **{
        f"rinalmo_{size}": PaddedGolden("rinalmo", {**_TINY, "hidden_size": 40, "intermediate_size": 106})
        for size in ("giga", "mega", "micro", "nano")
    },
    **{
        f"nt_v1_{size}": PaddedGolden("nt", _NT_V1, prefix="v1.", weights_prefix="v1/") for size in ("500m", "2b5")
    },
    **{
        f"nt_v2_{size}": PaddedGolden("nt", _NT_V2, prefix="v2.", weights_prefix="v2/")
        for size in ("50m", "100m", "250m", "500m")
    },
    "dnabert2": PaddedGolden(
        "dnabert2", {**_TINY, "vocab_size": 64, "num_attention_heads": 6, "intermediate_size": 40}
    ),
    **{
        name: PaddedGolden(
            "methylbert",
            {**_TINY, "hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 40},
            tolerance=5e-5,
            mask="attention_mask_fixed",
            logits="fixed_pads_masked.logits",
        )
        for name in ("methylbert", "methylbert_6l")
    },
    "helm_mlm": PaddedGolden(
        "helm", _HELM, ids="xe.input", mask=None, logits="mlm_xe_nopos_bidirectional.logits", without=_NO_POSITIONS
    ),
    "helm_clm": PaddedGolden(
        "helm", _HELM, ids="xe.target", mask=None, logits="clm_xe_nopos_released_pads_counted.logits",
        without=_NO_POSITIONS,
    ),
}  # fmt: skip
