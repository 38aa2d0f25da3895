"""polymerase: pretraining of RNA and DNA language models.

Five names are for scripts and notebooks (:mod:`pretrain.evaluation.library`). They load the frameworks on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pretrain.evaluation.library import embed, load_model, load_run, mutate, score_variants

__all__ = ["embed", "load_model", "load_run", "mutate", "score_variants"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'pretrain' has no attribute {name!r}; it has {', '.join(__all__)}")
    from pretrain.evaluation import library

    return getattr(library, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
