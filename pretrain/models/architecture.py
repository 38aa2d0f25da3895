"""The registry of architectures. A new one is a folder beside ``transformer`` and a line here."""

from __future__ import annotations

from pretrain.errors import unknown_name
from pretrain.models.convnet.architecture import CONVNET
from pretrain.models.entry import Architecture, SideInput
from pretrain.models.hyena.architecture import HYENA
from pretrain.models.model_settings import ModelSettings
from pretrain.models.striped_hyena.architecture import STRIPED_HYENA
from pretrain.models.transformer.architecture import TRANSFORMER

ARCHITECTURES: dict[str, Architecture] = {
    "transformer": TRANSFORMER,
    "convnet": CONVNET,
    "hyena": HYENA,
    "striped_hyena": STRIPED_HYENA,
}


def find_architecture(name: str) -> Architecture:
    """Look an architecture up by name.

    Raises:
        PolymeraseError: there is none of that name; the message gives the nearest one.
    """
    if name not in ARCHITECTURES:
        raise unknown_name("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]


def architecture_of(settings: ModelSettings) -> Architecture:
    """Return the architecture whose settings class this is an instance of."""
    return next(entry for entry in ARCHITECTURES.values() if type(settings) is entry.settings)


def side_inputs_of(settings: ModelSettings, vocab: tuple[str, ...]) -> dict[str, SideInput]:
    """Return the host functions that compute the model-specific inputs, by name in ``PackedBatch.side``."""
    return architecture_of(settings).side_inputs(settings, vocab)


__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "ModelSettings",
    "SideInput",
    "architecture_of",
    "find_architecture",
    "side_inputs_of",
]
