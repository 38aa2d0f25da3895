"""The report of a comparison as a table."""

from __future__ import annotations

from typing import Any

TITLES = {
    "ours": "ours, packed",
    "hf": "transformers, padded to the longest of the batch, random order",
    "hf_grouped": "transformers, padded, group_by_length",
    "loop": "hand-written loop, padded",
}


def table(report: dict[str, Any]) -> str:
    """Format the report of ``compare`` as text."""
    hardware = report["hardware"]
    lines = [
        f"{hardware['device']}, ranks: {report['ranks']}, threads: {hardware['threads']}, torch {hardware['torch']}; "
        f"{report['rounds']} of {report['rounds_asked']} rounds after {report['warmup']} to warm up, in turn",
        "",
        f"{'tokens/s':>10} {'computed':>9} {'step ms':>9} {'p95':>9} {'MFU':>6} {'peak MiB':>9}  "
        f"{'wait':>5} {'fwd':>5} {'bwd':>5} {'optim':>5} {'comm':>5}",
    ]
    for name, title in TITLES.items():
        if name in report:
            lines += [_line(report[name]), f"{'':>10} ^ {title}, {report[name]['parameters']:,} parameters"]
    for name, speed in report.get("speed_ratios", {}).items():
        lines.append(f"ours / {name}: {speed:.2f} x tokens/s, {report['memory_ratios'][name]:.2f} x peak memory")
    if "hf_grouped" in report and report["rounds"] < report["rounds_asked"]:
        lines.append("group_by_length saw a part of its samples only: ask for as many --steps as --seconds allow")
    lines += [
        "",
        "tokens/s: real tokens, padding not counted; computed: tokens computed per real token",
        f"MFU: {report['model_flops_utilisation']}",
        f"peak: {hardware['peak_flops_per_second'] / 1e12:.2f} TFLOP/s ({hardware['peak_source']})",
        "shares of the step: waiting for data, forward, backward, optimizer, communication (inside none of the others)",
    ]
    if "profile" in report:
        shares: dict[str, float] = {}
        for row in report["profile"]:
            shares[row["kind"]] = shares.get(row["kind"], 0.0) + row["share"]
        kinds = ", ".join(f"{kind} {share:.1%}" for kind, share in shares.items())
        lines += ["", f"the heaviest step of ours, by own time of operations: {kinds}", ""]
        lines += [
            f"{row['share']:6.1%} {row['ms']:9,.1f} ms {row['calls']:6,} x  {row['operation'][:60]:<60} {row['kind']}"
            for row in report["profile"]
        ]
    return "\n".join(lines)


def _line(result: dict[str, Any]) -> str:
    shares = " ".join(f"{share:5.1%}" for share in result["share_of_step"].values())
    return (
        f"{result['tokens_per_second']:10,.0f} {result['computed_tokens_per_token']:9.2f} "
        f"{result['step_ms_median']:9,.1f} {result['step_ms_p95']:9,.1f} {result['model_flops_utilisation']:6.1%} "
        f"{result['peak_memory_bytes'] / 2**20:9,.0f}  {shares}"
    )
