"""A folder with the tensors and the config.json of a release, for programs that read those and not ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.exporting.new_folder import new_folder
from pretrain.families import FAMILIES, Family
from pretrain.importing import import_published, read_source
from pretrain.importing.source import CONFIG
from pretrain.models import ModelSettings

_SIZES = ("vocab_size", "hidden_size", "max_position_embeddings")  # tensors tell the others


def write_release(
    state: Mapping[str, Tensor], family: Family, settings: ModelSettings, folder: Path, origin: str, license_id: str
) -> str:
    """Write weights under the names of the release, read them back, and say what was written.

    Args:
        state: float32 tensors ``encoder.…``, ``mlm_head.…``; heads of other objectives have no place and are left out.
        family: of the model.
        settings: of the model.
        folder: must not exist, or be empty.
        origin: where the weights come from, for the card.
        license_id: for the card.

    Raises:
        PolymeraseError: the family has no such layout, the settings have no place in it, or what is read back differs.
    """
    if family.release is None:
        able = ", ".join(name for name, one in FAMILIES.items() if one.release is not None)
        raise PolymeraseError(f"--layout release: {family.name} is exported under our names only; {able} have both")
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(("heads.", "unused."))}
    tensors, config = family.release(settings, kept)
    with new_folder(folder) as partial:
        save_file(tensors, partial / "model.safetensors", metadata={"format": "pt"})
        (partial / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        back = import_published(read_source(partial), family)
        same = all(getattr(back.settings, size) == getattr(settings, size) for size in _SIZES)
        if not same or kept.keys() != back.state.keys():
            raise PolymeraseError(f"{folder}: what was written reads back as another model; export it under our names")
        if different := [name for name, tensor in kept.items() if not torch.equal(tensor, back.state[name])]:
            raise PolymeraseError(f"{folder}: {different[0]} reads back with other values; export it under our names")
        left_out = sorted({name.split(".")[1] for name in state.keys() - kept.keys()})
        card = (
            f"---\nlicense: {license_id}\n---\n\n# {folder.name}\n\n{origin}\n\nTensors and config.json have the names "
            f"of the release of {family.name}. Its code is not in this folder: load it with the release's classes.\n"
        )
        (partial / "README.md").write_text(card, encoding="utf-8")
    left = f"; left out: {', '.join(left_out)}" if left_out else ""
    return f"{folder}: {len(tensors)} tensors under the names of the release of {family.name}, read back equal{left}"
