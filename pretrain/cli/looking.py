"""What ``evaluate`` draws: substitutions, attention, base pairs, embeddings; pictures, their numbers, and a page."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pretrain.errors import PolymeraseError


def mutagenesis(args: argparse.Namespace) -> dict[str, Any]:
    """Option --mutate."""
    from data_prep.corpus.files import write_atomic
    from data_prep.records import read_records
    from pretrain.evaluation.model import load_model
    from pretrain.evaluation.mutagenesis import mutate_all, summary, table
    from pretrain.evaluation.probing.table import odd_letters
    from pretrain.reporting.mutagenesis import LONGEST, picture_of_mutagenesis

    out = folder_of(args, "--mutate")
    ids, _, sequences = read_records(args.mutate, args.sequences)
    letters = odd_letters(args.mutate, sequences)
    model = load_model(args.model, args.step)
    found = mutate_all(model, ids, sequences, args.window)
    drawn = [one for one in found if len(one.sequence) <= LONGEST]
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "scores.tsv", table(found).encode())
    rows = summary(found)
    page = _page(f"Every substitution: {Path(args.model).name}")
    keys = list(dict.fromkeys(key for row in rows for key in row))
    head = [key.replace("_nats", ", nats").replace("_", " ") for key in keys]
    page.table([head, *([row.get(key, "-") for key in keys] for row in rows)])
    _write(page, out, [one.name for one in drawn], map(picture_of_mutagenesis, drawn))
    return {
        "model": args.model, "fasta": args.mutate, "out": args.out, "pictures": len(drawn), "records": rows,
        "left_out": {f"longer than {LONGEST:,} nt: scored, not drawn": n} if (n := len(found) - len(drawn)) else {},
        **letters,
    }  # fmt: skip


def attention(args: argparse.Namespace) -> dict[str, Any]:
    """Option --attention."""
    from data_prep.records import read_records
    from pretrain.evaluation.attention_maps import attention_map
    from pretrain.evaluation.model import load_model
    from pretrain.evaluation.probing.table import odd_letters
    from pretrain.reporting.maps import LONGEST, picture_of_attention

    out = folder_of(args, "--attention")
    ids, _, sequences = read_records(args.attention, args.sequences)
    letters = odd_letters(args.attention, sequences)
    model = load_model(args.model, args.step)
    texts = [row.decode("latin-1") for row in sequences.rows()]
    for name, text in zip(ids, texts, strict=True):
        if len(text) > LONGEST:
            raise PolymeraseError(f"{name}: {len(text):,} nt, at most {LONGEST} are drawn; cut it or leave it out")
    maps = [attention_map(model, name, text, args.layer) for name, text in zip(ids, texts, strict=True)]
    out.mkdir(parents=True, exist_ok=True)
    layer = "the last layer" if args.layer == -1 else f"layer {args.layer}"
    _write(_page(f"Attention of {layer}: {Path(args.model).name}"), out, ids, map(picture_of_attention, maps))
    return {
        "model": args.model,
        "fasta": args.attention,
        "out": args.out,
        "layer": args.layer,
        "sequences": len(ids),
    } | letters


def draw_pairs(args: argparse.Namespace, out: Path, records: list[Any], results: list[Any], head: int) -> None:
    """Option --pairs with --out: known and predicted pairs of each record."""
    from pretrain.reporting.maps import picture_of_pairs

    out.mkdir(parents=True, exist_ok=True)
    pictures = (
        picture_of_pairs(one.name, one.sequence, one.pairs, result.predicted_by_head[head])
        for one, result in zip(records, results, strict=True)
    )
    page = _page(f"Base pairs, head {head}: {Path(args.model).name}")
    _write(page, out, [one.name for one in records], pictures, wide=False)


def check_map(args: argparse.Namespace) -> None:
    """Raise PolymeraseError where --map or --label cannot be done, before the embeddings are made."""
    from pretrain.evaluation.projection import check_method

    if args.label and not args.map:
        raise PolymeraseError("--label has no effect without --map; add --map pca")
    if args.map and args.pool == "token":
        raise PolymeraseError("--map draws a point per sequence; expected --pool mean or cls, got token")
    if args.map:
        check_method(args.map)
    if args.label:
        _labels_by_id(args)


def _labels_by_id(args: argparse.Namespace) -> dict[str, str]:
    """Label of each record; PolymeraseError where two records of one id have different ones."""
    from data_prep.records import read_records
    from pretrain.evaluation.probing.table import labels_of_headers

    found: dict[str, str] = {}
    ids, headers, _ = read_records(args.embed, args.sequences)
    for name, label in zip(ids, labels_of_headers(args.embed, headers, args.label), strict=True):
        if found.setdefault(name, label) != label:
            raise PolymeraseError(
                f"{args.embed}: records of the id {name} have the labels {found[name]} and {label}; give each record "
                "an id of its own"
            )
    return found


def draw_map(args: argparse.Namespace, found: Any) -> None:
    """Option --map: one point per sequence, by label if --label is given."""
    from pretrain.evaluation.projection import project
    from pretrain.reporting.scatter import picture_of_projection

    labels = None
    if args.label:
        by_id = _labels_by_id(args)
        labels = [by_id[name] for name in found.ids]  # some may have been too long
    picture = picture_of_projection(project(found.values, args.map), found.ids, labels)
    picture.write(Path(args.out).parent, f"{Path(args.out).stem}-{args.map}")


def folder_of(args: argparse.Namespace, option: str) -> Path:
    """Return --out; PolymeraseError where it is missing or a file, before the work is done."""
    if not args.out:
        raise PolymeraseError(f"{option} needs --out FOLDER, for a table and a picture of each record")
    out = Path(args.out)
    if out.exists() and not out.is_dir():
        raise PolymeraseError(f"--out {out}: expected a folder, got a file; choose another one")
    return out


def _page(title: str) -> Any:
    from data_prep.html_page import Page

    return Page(title)


def _write(page: Any, out: Path, names: list[str], pictures: Iterable[Any], wide: bool = True) -> None:
    """Each picture in its three forms, and all on one page."""
    from data_prep.corpus.files import write_atomic
    from pretrain.reporting.picture import file_stems

    shown = {}
    for stem, picture in zip(file_stems(names), pictures, strict=True):
        picture.write(out, stem)
        shown[stem] = picture.png
    page.pictures(shown, wide)
    write_atomic(out / "index.html", page.text().encode())
