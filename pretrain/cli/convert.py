"""python launch/convert.py --family NAME SOURCE --out HF_DIR: published weights as a verified Hugging Face folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pretrain.cli.command import Parser, command, program
from pretrain.errors import PolymeraseError

if TYPE_CHECKING:
    from pretrain.importing import Imported

EXAMPLE = """examples:
  python launch/convert.py --family ernie_rna ERNIE-RNA_pretrain.pt --out exports/ernie_rna
  python launch/convert.py --family utr_lm ESM2SISS_FS4.1_6layers_16heads.pkl --out exports/utr_lm
  python launch/convert.py --family utrbert_4mer 4-new-12w-0 --out exports/utrbert_4mer --kind encoder
  python launch/convert.py --family mutbert weights.safetensors --out exports/tiny model.num_attention_heads=4

SOURCE is a file of the release (.pt, .pkl, .bin, .pdparams), a .npz or .safetensors file with the same tensor names, or
a folder with one of them. Sizes that shapes do not show are read from a config.json next to it or from
model.key=value, with the names of transformers configs. No code inside SOURCE is executed.

exit status: 0 written and verified, 2 wrong input or a folder that failed its verification
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog=program("convert"),
        description="Convert published weights to a Hugging Face folder that stock transformers loads.",
        epilog=EXAMPLE,
    )
    result.add_argument("--family", required=True, help="ernie_rna, rnaernie, utr_lm, utrbert_4mer, mutbert, …")
    result.add_argument("source", metavar="SOURCE", help="checkpoint file or folder")
    result.add_argument("settings", nargs="*", metavar="model.key=value", help="sizes that shapes do not show")
    result.add_argument("--out", required=True, metavar="HF_DIR", help="folder to write; must not exist or be empty")
    result.add_argument(
        "--kind", choices=("mlm", "encoder"),
        help="with output head, or the base class alone (default: mlm if SOURCE has an output head)",
    )  # fmt: skip
    result.add_argument(
        "--without-tokenizer", action="store_true",
        help="rows are other tokens than those of the family: convert the weights alone",
    )  # fmt: skip
    result.add_argument("--license", metavar="ID", help="license id for the card (default: what the release states)")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; the exit status is in the help."""
    args = parser().parse_intermixed_args(arguments)
    _convert(args)
    return 0


def _convert(args: argparse.Namespace) -> None:
    from pretrain.config.yaml_file import parse_overrides
    from pretrain.exporting import export_model
    from pretrain.exporting.new_folder import refuse_existing
    from pretrain.exporting.published_facts import published_facts
    from pretrain.exporting.tensors import Kind
    from pretrain.families import find_family
    from pretrain.importing import import_published, read_source
    from pretrain.models import has_output_head

    family = find_family(args.family)
    overrides = _model_settings(parse_overrides(args.settings))
    refuse_existing(Path(args.out))
    print(f"reading {args.source}", flush=True)
    source = read_source(Path(args.source))
    imported = import_published(source, family, overrides, any_vocabulary=args.without_tokenizer)
    for name, value in sorted(source.facts.items()):
        print(f"  {name} = {value}")
    has_head = has_output_head(imported.settings, imported.state)
    if not has_head:
        _say_headless(source.path.name, imported, args.kind)
    kind: Kind = args.kind or ("mlm" if has_head else "encoder")
    facts = published_facts(source, imported, args.license)
    print("writing, and loading the result with transformers in a fresh process", flush=True)
    report = export_model(
        imported.state, imported.family, imported.settings, Path(args.out), facts, kind,
        with_tokenizer=not args.without_tokenizer,
    )  # fmt: skip
    print(report)


def _say_headless(name: str, imported: Imported, kind: str | None) -> None:
    """Say that these are weights of an encoder alone; PolymeraseError if there is no folder for them."""
    from pretrain.families.own_code import form_of

    without = imported.without
    more = f" and {len(without) - 3} more" if len(without) > 3 else ""
    what = f"{name}: weights of an encoder without its output head (missing: {', '.join(without[:3])}{more})"
    if form_of(imported.family, imported.settings).kind == "remote":
        raise PolymeraseError(
            f"{what}; a folder of {imported.family.name} holds the whole model: take the file with all of it, or train "
            "a new head on these weights (model.init_from)"
        )
    if kind == "mlm":
        raise PolymeraseError(f"{what}; use --kind encoder, or the file with the whole model")
    if kind is None:
        print(f"{what}; the folder is for AutoModel, and to predict tokens take the file with the whole model")


def _model_settings(tree: dict) -> dict:
    """``{"model": {...}}`` -> the inner dictionary; any other section is a mistake."""
    other = [section for section in tree if section != "model"]
    if other or not isinstance(tree.get("model", {}), dict):
        raise PolymeraseError(f"{other[0] if other else 'model'}: only model.key=value settings belong here")
    return tree.get("model", {})
