"""Results of an evaluation as text that a person reads."""

from __future__ import annotations

from typing import Any

_SHOWN = 20  # rows of long tables


def losses(result: dict[str, Any]) -> str:
    """Objectives, then masked letters by base and length beside the best Markov chain."""
    lines = [
        f"{result['model']} ({result['family']}) on {result['sequences']:,} held-out sequences of {result['corpus']}",
        f"{'objective':<12} {'loss':>10} {'trivial':>10} {'perplexity':>11} {'accuracy':>9}",
    ]
    columns = (("loss", 10), ("trivial_loss", 10), ("perplexity", 11), ("accuracy", 9))
    for name, figures in result["objectives"].items():
        cells = [f"{figures[key]:>{width}.4f}" if key in figures else f"{'-':>{width}}" for key, width in columns]
        lines.append(f"{name:<12} {' '.join(cells)}")
        by_strategy = {key: value for key, value in figures.items() if key.startswith("accuracy/")}
        lines += [f"  {key.removeprefix('accuracy/'):<44} {value:>9.4f}" for key, value in by_strategy.items()]
    for name, figures in result["objectives"].items():
        if letters := figures.get("letters"):
            lines += ["", *_letters(name, figures, letters)]
    return "\n".join(lines)


def _letters(name: str, figures: dict[str, Any], letters: dict[str, Any]) -> list[str]:
    best = letters["best_baseline"]
    lines = [f"{f'{name}, letters':<20} {'targets':>9} {'loss':>8} {best:>15} {'accuracy':>9}"]
    rows = [("all", letters), *figures["by_base"].items(), *((f"{k} nt", v) for k, v in figures["by_length"].items())]
    for name, row in rows:
        chain = row["baselines"][best]
        lines.append(f"{name:<20} {row['targets']:>9,} {row['loss']:>8.4f} {chain:>15.4f} {row['accuracy']:>9.4f}")
    lines += ["", f"{'baseline':<20} {'loss':>8}"]
    lines += [f"{name:<20} {loss:>8.4f}" for name, loss in letters["baselines"].items()]
    if "floor" in letters:
        lines.append(f"{'entropy of labels':<20} {letters['floor']:>8.4f}  no model can be below")
    return lines


def pseudo_perplexity(result: dict[str, Any]) -> str:
    """One line per sequence, the first ones, and the whole."""
    lines = [f"{'record':<30} {'nucleotides':>11} {'pseudo-perplexity':>18}"]
    for record in result["records"][:_SHOWN]:
        shown = "-" if record["pseudo_perplexity"] is None else f"{record['pseudo_perplexity']:.4f}"
        lines.append(f"{record['id'][:30]:<30} {record['nucleotides']:>11,} {shown:>18}")
    if len(result["records"]) > _SHOWN:
        lines.append(f"… {len(result['records']) - _SHOWN:,} more (--json has all)")
    whole = "-" if result["pseudo_perplexity"] is None else f"{result['pseudo_perplexity']:.4f}"
    lines.append(f"{'all':<30} {result['nucleotides']:>11,} {whole:>18}")
    return "\n".join([*lines, *_left_out(result)])


def likelihood(result: dict[str, Any]) -> str:
    """Of a causal model: one line per sequence, the first ones, and the whole."""
    lines = [f"{'record':<30} {'nucleotides':>11} {'bits per nucleotide':>20}"]
    for record in [*result["records"][:_SHOWN], result | {"id": "all"}]:
        bits = record["bits_per_nucleotide"]
        shown = "-" if bits is None else f"{bits:.4f}"
        lines.append(f"{record['id']:<30} {record['nucleotides']:>11,} {shown:>20}")
    if len(result["records"]) > _SHOWN:
        lines.insert(-1, f"… {len(result['records']) - _SHOWN:,} more (--json has all)")
    return "\n".join([*lines, *_left_out(result)])


def embeddings(result: dict[str, Any]) -> str:
    """What was written."""
    what = "rows" if result["pool"] == "token" else f"{result['pool']} of layer {result['layer']}"
    first = f"wrote {result['out']}: {result['sequences']:,} sequences, {what}, {result['width']} numbers each"
    return "\n".join([first, *_left_out(result)])


def variants(result: dict[str, Any]) -> str:
    """The summary."""
    spearman = result["spearman_score_frequency"]
    lines = [
        f"variants            {result['variants']:,}",
        f"scored              {result['scored']:,}",
        f"mean score          {result['mean_score']:.4f} nats (log P(alt) - log P(ref))",
        f"alt preferred       {result['share_alt_preferred']:.1%}",
    ]
    if spearman is not None:
        lines.append(f"Spearman with AF    {spearman:+.4f} ({result['with_frequency']:,} variants with a frequency)")
    lines += _left_out(result)
    lines.append(
        f"table               {result['out']}" if result["out"] else "table               give --out FILE for it"
    )
    return "\n".join(lines)


def base_pairs(result: dict[str, Any]) -> str:
    """F1 by head and by record."""
    head = result["head"]
    mfe = result["f1_mfe"]
    lines = [
        f"{result['records']:,} structures; mean F1 of head {head}: {result['f1']:.4f}",
        f"by head: {' '.join(f'{value:.4f}' for value in result['f1_by_head'])}",
        f"ViennaRNA minimum free energy, same records: {'not installed' if mfe is None else f'{mfe:.4f}'}",
        "",
        f"{'record':<30} {'nt':>5} {'pairs':>6} {'F1':>7} {'MFE F1':>7}",
    ]
    for record in result["by_record"][:_SHOWN]:
        other = "-" if record["f1_mfe"] is None else f"{record['f1_mfe']:.4f}"
        lines.append(
            f"{record['name'][:30]:<30} {record['length']:>5} {record['pairs']:>6} {record['f1']:>7.4f} {other:>7}"
        )
    return "\n".join(lines)


def _left_out(result: dict[str, Any]) -> list[str]:
    return [f"left out            {count:,} {why}" for why, count in result["left_out"].items()]
