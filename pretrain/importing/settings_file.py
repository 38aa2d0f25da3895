"""Settings that stand beside published weights, as JSON: of a model, or of an adapter."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pretrain.errors import PolymeraseError


def read_settings(path: Path, of: str) -> Mapping[str, Any]:
    """Read one JSON object.

    Args:
        path: the file.
        of: what it holds the settings of, for the message.

    Raises:
        PolymeraseError: no JSON, or something else than an object.
    """
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as why:
        raise PolymeraseError(f"{path}: not readable as JSON ({why}); fetch the file again") from None
    if not isinstance(settings, dict):
        raise PolymeraseError(
            f"{path}: expected the settings of {of}, got {type(settings).__name__}; fetch the file again"
        )
    return settings
