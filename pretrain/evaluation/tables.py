"""Results of an evaluation as text."""

from __future__ import annotations

from typing import Any

from pretrain.baselines.words import PARTS, conclusion, label

_SHOWN = 20  # rows of long tables


def losses(result: dict[str, Any]) -> str:
    """Format objectives, each by what the model sees of its targets, then by base and length, then every baseline."""
    lines = [
        f"{result['model']} ({result['family']}) on {result['sequences']:,} held-out sequences of {result['corpus']}"
    ]
    columns = ("targets", "loss", "± s.e.", "constant", "best", "best baseline")
    head = [f"{name:>9}" for name in (*columns[:-1], "accuracy", "perplexity")]
    lines.append(f"{'objective':<22} {' '.join(head)}  {columns[-1]}")
    for name, figures in result["objectives"].items():
        parts = {part: figures[part] for part in PARTS if "loss" in figures.get(part, {})}
        lines += [_row(f"{name}, {part}" if len(parts) > 1 else name, name, one) for part, one in parts.items()]
        by_strategy = {key: value for key, value in figures.items() if key.startswith("accuracy/")}
        lines += [f"  {key.removeprefix('accuracy/'):<20} accuracy {value:.4f}" for key, value in by_strategy.items()]
        lines += [_row(f"  {corpus}", name, one) for corpus, one in figures.get("by_corpus", {}).items()]
    for name, figures in result["objectives"].items():
        if figures.get("letters"):
            lines += ["", f"{name} by letter and length", *_rows_of(name, figures["by_base"])]
            lines += _rows_of(name, {f"{key} nt": one for key, one in figures["by_length"].items()})
        lines += _baselines(name, figures)
    return "\n".join([*lines, "", *(said for said in conclusion(result["objectives"]))])


def _rows_of(name: str, parts: dict[str, Any]) -> list[str]:
    return [_row(f"  {key}", name, one) for key, one in parts.items()]


def _row(title: str, name: str, one: dict[str, Any]) -> str:
    baselines = one.get("baselines", {})
    best = one.get("best_baseline")
    numbers = (
        one["loss"], one["standard_error"], next(iter(baselines.values()), None), baselines.get(best),
        one.get("accuracy"), one.get("perplexity"),
    )  # fmt: skip
    cells = [f"{'-':>9}" if value is None else f"{value:>9.4f}" for value in numbers]
    floor = f"; no loss is below {one['floor']:.4f}" if "floor" in one else ""
    return f"{title:<22} {one['targets']:>9,} {' '.join(cells)}  {label(best, name) if best else '-'}{floor}"


def _baselines(name: str, figures: dict[str, Any]) -> list[str]:
    """Every baseline by part of the targets, the model last."""
    parts = {part: one for part in PARTS if (one := figures.get(part, {})).get("baselines")}
    if not parts:
        return []
    keys = dict.fromkeys(key for one in parts.values() for key in one["baselines"])
    lines = ["", f"{f'{name}: baseline':<30} {' '.join(f'{part:>9}' for part in parts)}"]
    for key in keys:
        cells = [f"{one['baselines'][key]:>9.4f}" if key in one["baselines"] else f"{'-':>9}" for one in parts.values()]
        lines.append(f"{key:<30} {' '.join(cells)}")
    model = " ".join(f"{one['loss']:>9.4f}" for one in parts.values())
    return [*lines, f"{'the model':<30} {model}"]


def pseudo_perplexity(result: dict[str, Any]) -> str:
    """Format one line per sequence, the first ones, and the total."""
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
    """Format the result of a causal model: one line per sequence, the first ones, and the total."""
    lines = [f"{'record':<30} {'nucleotides':>11} {'bits per nucleotide':>20}"]
    for record in [*result["records"][:_SHOWN], result | {"id": "all"}]:
        bits = record["bits_per_nucleotide"]
        shown = "-" if bits is None else f"{bits:.4f}"
        lines.append(f"{record['id']:<30} {record['nucleotides']:>11,} {shown:>20}")
    if len(result["records"]) > _SHOWN:
        lines.insert(-1, f"… {len(result['records']) - _SHOWN:,} more (--json has all)")
    return "\n".join([*lines, *_left_out(result)])


def embeddings(result: dict[str, Any]) -> str:
    """Name the file that was written."""
    what = "rows" if result["pool"] == "token" else f"{result['pool']} of layer {result['layer']}"
    first = f"wrote {result['out']}: {result['sequences']:,} sequences, {what}, {result['width']} values each"
    return "\n".join([first, *_left_out(result)])


def variants(result: dict[str, Any]) -> str:
    """Format the summary."""
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


def mutagenesis(result: dict[str, Any]) -> str:
    """One line per sequence, the first ones, and where everything lies."""
    lines = [f"{'record':<30} {'nt':>6} {'mean score':>11}  {'least liked':<18} most liked"]
    for record in result["records"][:_SHOWN]:
        mean = f"{record['mean_score_nats']:.4f}" if record["substitutions"] else "-"
        lines.append(
            f"{record['id'][:30]:<30} {record['nucleotides']:>6,} {mean:>11}  {record.get('least_liked', '-'):<18} "
            f"{record.get('most_liked', '-')}"
        )
    if len(result["records"]) > _SHOWN:
        lines.append(f"… {len(result['records']) - _SHOWN:,} more (--json has all)")
    lines.append(f"wrote {result['out']}/scores.tsv, and {result['pictures']:,} pictures next to it (.png, .svg, .tsv)")
    return "\n".join([*lines, *_left_out(result)])


def base_pairs(result: dict[str, Any]) -> str:
    """Format F1 by head and by record."""
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


def torn_labels(facts: dict[str, Any]) -> list[str]:
    """The line on equal sequences with different labels, if there are any."""
    if not (count := facts.get("equal_sequences_with_other_labels")):
        return []
    more = ", …" if count > len(facts["such_rows"]) else ""
    return [
        f"labels: {count:,} rows have a sequence that other rows have with another label, which no model can get "
        f"right: {', '.join(facts['such_rows'])}{more}"
    ]


def other_letters(result: dict[str, Any]) -> list[str]:
    """Format a line if there were letters that models do not know."""
    if not result.get("other_letters"):
        return []
    letters, sequences = result["other_letters"], result["sequences_with_other_letters"]
    return [f"other letters: {letters:,} in {sequences:,} sequences are not A, C, G, U or T (read as unknown)"]


def _left_out(result: dict[str, Any]) -> list[str]:
    lines = [f"left out            {count:,} {why}" for why, count in result["left_out"].items()]
    return lines + other_letters(result)
