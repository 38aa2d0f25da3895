"""What the settings of every architecture hold."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol


class ModelSettings(Protocol):
    """What the settings of every architecture hold: frozen dataclasses, special ids included."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def vocab_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def pad_token_id(self) -> int: ...
    @property
    def mask_token_id(self) -> int: ...
    @property
    def max_position_embeddings(self) -> int: ...
