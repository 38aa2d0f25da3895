"""A trained model ready for evaluation: from a run folder, or from any Hugging Face folder of our families."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pretrain.config import load_config
from pretrain.config.model_choice import family_of
from pretrain.errors import PolymeraseError
from pretrain.families import Family
from pretrain.importing.adapter import is_adapter
from pretrain.importing.source import no_source
from pretrain.models import LanguageModel, ModelSettings, architecture_of
from pretrain.runs.checkpoint import WEIGHTS, best_step, find_checkpoint, read_state, read_tensors
from pretrain.tokenizers import Tokenizer
from pretrain.training.compatibility import settings_of_checkpoint

_log = logging.getLogger("polymerase")


@dataclass(frozen=True)
class TrainedModel:
    """Encoder and output head in evaluation mode, on their device, with their tokenizer."""

    source: str
    family: Family
    settings: ModelSettings
    tokenizer: Tokenizer
    network: LanguageModel
    has_output_head: bool  # folders of a bare encoder have none
    device: torch.device
    step: int | None = None  # of the checkpoint, where it comes from a run

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest sequence it reads, specials included."""
        return min(self.family.max_tokens, self.settings.max_position_embeddings)

    def require_output_head(self) -> None:
        """Raise PolymeraseError if only an encoder was found."""
        if not self.has_output_head:
            raise PolymeraseError(f"{self.source}: holds an encoder without output head; likelihoods need the head")

    def require_first_token(self, asked: str) -> None:
        """Raise PolymeraseError unless the first token of a sequence is a special one that sees all others.

        Args:
            asked: the option that reads it, for the message.
        """
        if architecture_of(self.settings).is_causal(self.settings):
            why = "is causal: its first token sees nothing of what follows"
        elif not self.tokenizer.leading:
            why = f"has no special token in front ({self.tokenizer.name}): its first token is a letter"
        else:
            return
        raise PolymeraseError(f"{asked} reads the first token, but {self.source} {why}; take mean")


def is_run(folder: Path) -> bool:
    """Tell a run folder of ours (True) from a Hugging Face folder (False); PolymeraseError if it is neither."""
    if (folder / "checkpoints").is_dir():
        if not (folder / "config.yaml").is_file():
            raise PolymeraseError(f"{folder}: a run folder without config.yaml; copy it from the run")
        return True
    if not folder.exists():
        raise no_source(folder)
    if not (folder / "config.json").is_file() and not is_adapter(folder):
        raise PolymeraseError(
            f"{folder}: expected a run folder (checkpoints/), a Hugging Face folder (config.json), or an adapter "
            "(adapter_config.json)"
        )
    return False


def checkpoint_of(source: str, step: int | None) -> Path | None:
    """Return the checkpoint of a step of a run, or its newest whole one; None for a Hugging Face folder."""
    if is_run(Path(source)):
        found = find_checkpoint(Path(source), step)
        best = best_step(Path(source)) if step is None else None
        if best is not None:
            _log.warning(
                "note: %s stopped early: this is its last step; its best evaluation was at step %d (--step %d), which "
                "export takes", source, best, best,
            )  # fmt: skip
        return found
    if step is not None:
        raise PolymeraseError(
            f"{source}: expected a run folder for --step {step}, got a Hugging Face folder; leave it out"
        )
    return None


def load_model(source: str, step: int | None = None) -> TrainedModel:
    """Load a checkpoint of a run (of a step, or the newest whole one), or a Hugging Face folder. Dropout is off."""
    checkpoint = checkpoint_of(source, step)
    if checkpoint:
        step = read_state(checkpoint)["step"]
    family, settings, state = _read_run(Path(source), checkpoint) if checkpoint else _read_folder(source)
    network = LanguageModel.build(settings)
    parts = {name: value for name, value in state.items() if name.startswith(("encoder.", "mlm_head."))}
    missing = network.load_state_dict(parts, strict=False).missing_keys
    if trunk := [name for name in missing if not name.startswith("mlm_head.")]:
        raise PolymeraseError(f"{source}: tensors are missing: {', '.join(trunk[:5])}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return TrainedModel(
        source, family, settings, family.build_tokenizer(), network.to(device).eval(), not missing, device, step
    )


def random_twin(model: TrainedModel, seed: int) -> TrainedModel:
    """Return the same encoder before any training, for comparison."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LanguageModel.build(model.settings)
    return TrainedModel(
        f"{model.source} (random weights)", model.family, model.settings, model.tokenizer,
        network.to(model.device).eval(), True, model.device,
    )  # fmt: skip


def _read_run(folder: Path, checkpoint: Path) -> tuple[Family, ModelSettings, dict[str, Tensor]]:
    config = load_config(str(folder / "config.yaml"))
    settings = settings_of_checkpoint(config, read_state(checkpoint)["identity"])
    return family_of(config.model, settings), settings, read_tensors(checkpoint, WEIGHTS)


def _read_folder(source: str) -> tuple[Family, ModelSettings, dict[str, Tensor]]:
    from pretrain.importing import load_pretrained_state

    return load_pretrained_state(source)
