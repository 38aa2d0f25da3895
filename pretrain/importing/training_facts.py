"""Facts in a checkpoint about its own training: learning rate, updates, arguments.

The weights of published models circulate without their recipe, but fairseq files carry it (``args``, ``cfg``,
``optimizer_history``, ``extra_state``). Only scalars are taken, from records that are data anyway.
"""

from __future__ import annotations

from typing import Any

from pretrain.importing.pickle_tree import Call

Fact = str | int | float | bool
_TOO_DEEP = 5
_AT_MOST = 500
_SKIP = ("last_optimizer_state", "optimizer_state", "optimizer", "optim")  # moments, not facts


def training_facts(record: dict[Any, Any]) -> dict[str, Fact]:
    """Return scalars of a record as ``args.lr`` → value. Of a list the last entry counts (a history's latest state)."""
    facts: dict[str, Fact] = {}
    _collect(record, "", 0, facts)
    return facts


def _collect(node: Any, name: str, depth: int, facts: dict[str, Fact]) -> None:
    if len(facts) >= _AT_MOST or depth > _TOO_DEEP:
        return
    if isinstance(node, (bool, int, float)):
        facts[name] = node
    elif isinstance(node, str):
        facts[name] = node[:200]
    elif isinstance(node, (list, tuple)):
        if node and all(isinstance(entry, (str, int, float)) for entry in node):
            facts[name] = ", ".join(str(entry) for entry in node)[:200]
        elif node:
            _collect(node[-1], f"{name}[-1]", depth + 1, facts)
    else:
        for key, value in _fields(node).items():
            if isinstance(key, str) and key not in _SKIP:
                _collect(value, f"{name}.{key}" if name else key, depth + 1, facts)


def _fields(node: Any) -> dict[Any, Any]:
    """Entries of a dict, of an OrderedDict, or of a plain object such as ``argparse.Namespace``."""
    if isinstance(node, dict):
        return node
    if isinstance(node, Call):
        return node.state if isinstance(node.state, dict) else node.items
    return {}
