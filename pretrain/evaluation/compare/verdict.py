"""The verdicts of a comparison as text."""

from __future__ import annotations

from typing import Any

_ROUNDING = 1e-5  # of float32 weights and states: what is closer is the same model
_SHOWN = 8


def verdicts(result: dict[str, Any], tolerance: float) -> list[tuple[str, bool | None, str]]:
    """Answer the questions of a comparison: (question, answer, why). None: could not be answered.

    Args:
        result: of :func:`compare`.
        tolerance: nats by which the loss may be higher than the published one and still be called as good.
    """
    tokens, sizes, weights = result["tokens"], result["sizes"], result["weights"]
    states, losses = result["states"], result["losses"]
    found: list[tuple[str, bool | None, str]] = [
        ("same tokens", tokens["same"], _tokens(tokens)),
        ("same sizes", sizes["same"], _sizes(sizes)),
        ("same weights", _same_weights(weights), _weights(weights)),
    ]
    if states is None:
        found.append(("same hidden states", None, "the tokens differ"))
    else:
        largest = [layer["largest"] for layer in states["layers"]]
        same = None not in largest and max(largest) < 100 * _ROUNDING
        shown = "other widths" if None in largest else f"largest difference {max(largest):.3g}"
        cka = ", ".join(f"{layer['cka']:.3f}" for layer in states["layers"])
        found.append(("same hidden states", same, f"{shown}; linear CKA by layer {cka}"))
    if losses is None:
        found.append(("loss as good", None, "give --corpus DIR" if tokens["same"] else "the tokens differ"))
    else:
        error = losses["standard_error"] or 0.0
        found.append(
            (
                "loss as good",
                losses["difference"] <= tolerance,
                f"{losses['loss'][0]:.4f} against {losses['loss'][1]:.4f} nats, difference {losses['difference']:+.4f} "
                f"(standard error {error:.4f}, tolerance {tolerance:g}) on {losses['targets']:,} masked tokens; "
                f"accuracy {losses['accuracy'][0]:.3f} against {losses['accuracy'][1]:.3f}",
            )
        )
    return found


def reproduced(found: list[tuple[str, bool | None, str]]) -> bool | None:
    """Tokens, sizes and loss; weights and states of another training differ and may. None: no loss was compared."""
    answers = {question: answer for question, answer, _ in found}
    if answers["loss as good"] is None and answers["same tokens"]:
        return None
    return all(answers[question] for question in ("same tokens", "same sizes", "loss as good"))


def page(result: dict[str, Any], found: list[tuple[str, bool | None, str]], tolerance: float) -> str:
    """The verdicts as text, the most different tensors below them."""
    words = {True: "yes", False: "NO", None: "-"}
    lines = [f"ours       {result['ours']} ({result['families'][0]})"]
    lines += [f"published  {result['published']} ({result['families'][1]})", ""]
    lines += [f"{question:<20} {words[answer]:<4} {why}" for question, answer, why in found]
    answer = reproduced(found)
    sentence = {
        True: f"reproduced: same tokens and sizes, and a loss at most {tolerance:g} nats higher on the same records",
        False: "not reproduced: see the lines with NO",
        None: "not decided: losses on common records were not compared",
    }
    lines += ["", sentence[answer]]
    rows = result["weights"]["by_name"]
    worst = sorted(rows, key=lambda name: -rows[name]["largest"])[:_SHOWN]
    if worst and rows[worst[0]]["largest"] > 0:
        lines += ["", f"{'most different tensors':<52} {'largest':>9} {'relative':>9} {'cosine':>8}"]
        for name in worst:
            row = rows[name]
            lines.append(f"{name:<52} {row['largest']:>9.3g} {row['relative']:>9.3g} {row['cosine']:>8.4f}")
    return "\n".join(lines)


def _tokens(tokens: dict[str, Any]) -> str:
    if tokens["same"]:
        return f"{tokens['ours']} ids"
    if tokens["first_difference"] is None:
        return f"{tokens['ours']} against {tokens['published']} ids"
    return f"the first difference is at id {tokens['first_difference']}"


def _sizes(sizes: dict[str, Any]) -> str:
    if sizes["same"]:
        return f"{sizes['parameters'][0]:,} parameters"
    return ", ".join(f"{key} {a} against {b}" for key, (a, b) in sizes["differing"].items())


def _same_weights(weights: dict[str, Any]) -> bool:
    whole = not (weights["only_ours"] or weights["only_published"] or weights["other_shape"])
    return bool(whole and weights["compared"] and weights["largest_difference"] < _ROUNDING)


def _weights(weights: dict[str, Any]) -> str:
    if not weights["compared"]:
        return "no tensor has the same name and shape"
    text = (
        f"{weights['compared']} tensors: largest difference {weights['largest_difference']:.3g}, "
        f"relative {weights['relative_difference']:.3g}"
    )
    others = len(weights["only_ours"]) + len(weights["only_published"]) + len(weights["other_shape"])
    return f"{text}; {others} without a counterpart" if others else text
