"""python launch/convert.py --family NAME SOURCE --out HF_DIR: published weights as a verified Hugging Face folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pretrain.cli.command import Parser, command, program
from pretrain.errors import PolymeraseError

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
    if not has_head and args.kind == "mlm":
        raise PolymeraseError(f"{source.path.name}: no output head among its tensors; use --kind encoder")
    kind: Kind = args.kind or ("mlm" if has_head else "encoder")
    facts = published_facts(source, imported, args.license)
    print("writing, and loading the result with transformers in a fresh process", flush=True)
    report = export_model(
        imported.state, imported.family, imported.settings, Path(args.out), facts, kind,
        with_tokenizer=not args.without_tokenizer,
    )  # fmt: skip
    print(report)


def _model_settings(tree: dict) -> dict:
    """``{"model": {...}}`` -> the inner dictionary; any other section is a mistake."""
    other = [section for section in tree if section != "model"]
    if other or not isinstance(tree.get("model", {}), dict):
        raise PolymeraseError(f"{other[0] if other else 'model'}: only model.key=value settings belong here")
    return tree.get("model", {})
