"""One of ``train.phases`` as a YAML writes it; what follows from the list is in ``phases``."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from pretrain.config.section import Positive, Section


class Phase(Section):
    """A part of a run, as what differs in it: its keys are laid over the run's own sections.

    It goes on with the weights and the optimizer's state that the phase before leaves, and further along the stream of
    samples. Held-out samples are read and masked as the run's own keys say, so that evaluations stay comparable.
    """

    steps: Positive  # its length
    fresh_optimizer: bool = False  # begin without the moments and the count of updates that the phase before leaves
    corpus: dict[str, Any] | None = None  # how it is read; the corpora themselves are those of the run
    masking: dict[str, Any] | None = None  # rates, shares, weights of parts; the strategies are those of the run
    batch: dict[str, Any] | None = None
    optimizer: dict[str, Any] | None = None
    # A new schedule, counted from the phase's first step, by default to the next one or the end of the run. Without it
    # the schedule of the phase before goes on.
    schedule: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_key_of_the_whole_run(cls, given: Any) -> Any:
        sections = ("quirks", "run", "model", "objectives", "engine", "train", "tracking")
        for key in given if isinstance(given, dict) else ():
            if key in sections:
                raise ValueError(
                    f"a phase may set corpus, masking, batch, optimizer and schedule; {key} belongs to the whole run"
                )
        return given

    def overrides(self) -> dict[str, dict[str, Any]]:
        """Section -> the keys that it sets."""
        return {name: dict(value) for name, value in self if isinstance(value, dict)}
