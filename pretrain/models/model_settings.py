"""What the settings of every architecture hold."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol


class ModelSettings(Protocol):
    """Fields that the settings of every architecture hold; the settings are frozen dataclasses."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def vocab_size(self) -> int:
        """Rows V of the vocabulary."""

    @property
    def hidden_size(self) -> int:
        """Width D of a hidden state."""

    @property
    def pad_token_id(self) -> int:
        """Id of padding, which no packed batch holds."""

    @property
    def mask_token_id(self) -> int:
        """Id of a hidden token; -1 if the vocabulary has none."""

    @property
    def max_position_embeddings(self) -> int:
        """Longest input in tokens, if the architecture has a limit."""
