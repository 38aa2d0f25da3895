"""python launch/evaluate.py HF_DIR_OR_RUN --corpus DIR: what a model has learned, beside its baselines."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pretrain.cli import leaks, looking
from pretrain.cli.command import Parser, as_json, command, positive, program, refuse_idle
from pretrain.errors import PolymeraseError

EXAMPLE = """examples:
  python launch/evaluate.py runs/mine --corpus corpora/mine                       losses, accuracy, baselines
  python launch/evaluate.py runs/mine --step 20000 --corpus corpora/mine         an earlier checkpoint
  python launch/evaluate.py exports/mine --corpus corpora/other masking.rate=0.2 --json
  python launch/evaluate.py exports/mine --fasta my.fa.gz                         pseudo-perplexity of each record
  python launch/evaluate.py exports/mine --embed my.fa.gz --out my.npz --pool mean
  python launch/evaluate.py exports/mutbert --vcf clinvar.vcf.gz --genome hg38.fa --out scores.tsv
  python launch/evaluate.py exports/mine --embed long.fa --too-long windows --out long.npz
  python launch/evaluate.py exports/mine --mutate my.fa --out mutated            every substitution: table, pictures
  python launch/evaluate.py exports/mine --attention my.fa --out attention       who looks at whom, each head
  python launch/evaluate.py exports/mine --embed my.fa --out my.npz --map pca --label 2      points by label
  python launch/evaluate.py exports/ernie --pairs known.dbn --out pairs           zero-shot base pairs, F1, pictures

exit status: 0 evaluated, 2 wrong input
"""


USED_BY = {  # option -> what is asked for where it has an effect
    "out": "embed vcf mutate attention pairs", "too_long": "fasta embed", "stride": "fasta embed",
    "window": "vcf mutate fasta embed", "pool": "embed", "layer": "embed attention", "genome": "vcf", "strand": "vcf",
    "af_field": "vcf", "head": "pairs", "pretrained_on": "corpus fasta", "map": "embed", "label": "embed",
}  # fmt: skip
MODES = ("corpus", "fasta", "embed", "vcf", "mutate", "attention", "pairs")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog=program("evaluate"),
        description="Evaluate a run or a Hugging Face folder: losses, likelihoods, embeddings, variants, base pairs.",
        epilog=EXAMPLE,
    )
    result.add_argument(
        "model", metavar="HF_DIR_OR_RUN", help="run folder, or Hugging Face folder of a supported family"
    )
    what = result.add_mutually_exclusive_group(required=True)
    what.add_argument("--corpus", metavar="DIR", help="held-out losses on the validation split of this corpus")
    what.add_argument(
        "--fasta", metavar="FILE", help="pseudo-perplexity of this FASTA; for causal models, bits per nucleotide"
    )
    what.add_argument("--embed", metavar="FILE", help="embeddings of this FASTA, written to --out")
    what.add_argument(
        "--vcf",
        metavar="FILE",
        help="log P(alt) - log P(ref) of variants, with --genome",
    )
    what.add_argument(
        "--mutate",
        metavar="FILE",
        help="log P(new letter) - log P(letter) of every substitution in this FASTA: table and pictures in --out",
    )
    what.add_argument("--attention", metavar="FILE", help="attention maps of this FASTA: tables and pictures in --out")
    what.add_argument(
        "--pairs", metavar="FILE", help="base pairs from attention scores, compared with dot-bracket records"
    )
    result.add_argument(
        "settings", nargs="*", metavar="section.key=value", help="--corpus: settings that differ from those of the run"
    )
    result.add_argument("--step", type=int, metavar="N", help="checkpoint of a run (default: the newest complete one)")
    result.add_argument("--sequences", type=positive, metavar="N", help="at most this many (--corpus: 2048, else all)")
    result.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    result.add_argument("--out", metavar="FILE",
                        help="--embed: .npz or .safetensors; --vcf: table of all scores; --mutate, --attention, "
                        "--pairs: folder for tables and pictures")  # fmt: skip
    result.add_argument("--too-long", choices=("error", "crop", "skip", "windows"), default="error",
                        help="--fasta, --embed: records that the model does not hold (default: error); windows: each "
                        "nucleotide is read in the middle of a window")  # fmt: skip
    result.add_argument("--window", type=positive, metavar="NT",
                        help="--vcf, --mutate: bases around a variant (default: at most 512); --too-long windows: "
                        "bases of a window (default: what the model holds)")  # fmt: skip
    result.add_argument("--stride", type=positive, metavar="NT",
                        help="--too-long windows: from one window to the next (default: half a window)")  # fmt: skip
    leaks.option(result)
    embed = result.add_argument_group("--embed")
    embed.add_argument("--pool", choices=("mean", "cls", "token"), default="mean", help="default: mean over letters")
    embed.add_argument("--layer", type=int, default=-1, metavar="L",
                       help="0: embeddings, -1: last layer (default); --attention: 0: first layer")  # fmt: skip
    embed.add_argument("--map", choices=("pca", "umap"), help="also draw the embeddings as points, next to --out")
    embed.add_argument("--label", metavar="WORD", help="--map: color by this word of each header (2, 3, …, last)")
    variants = result.add_argument_group("--vcf")
    variants.add_argument("--genome", metavar="FASTA", help="reference sequence of the VCF")
    variants.add_argument("--strand", choices=("plus", "minus", "both"), default="plus",
                          help="strand that the model reads; both: the mean of two scores (default: plus)")  # fmt: skip
    variants.add_argument("--af-field", default="AF", metavar="KEY", help="INFO key of the frequency (default: AF)")
    pairs = result.add_argument_group("--pairs")
    pairs.add_argument("--head", type=int, metavar="H", help="attention head of the last layer (default: 5, published)")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate; the exit status is in the help."""
    line = parser()
    args = line.parse_intermixed_args(arguments)
    mode = next(name for name in MODES if getattr(args, name))
    if args.settings and mode != "corpus":
        raise PolymeraseError(f"{args.settings[0]}: settings belong to --corpus")
    refuse_idle(line, args, mode, USED_BY)
    if (args.window or args.stride) and mode in ("fasta", "embed") and args.too_long != "windows":
        raise PolymeraseError(f"--window and --stride have no effect with --{mode} without --too-long windows")
    from pretrain.evaluation import tables

    if args.corpus:
        from pretrain.evaluation.held_out import score
        from pretrain.evaluation.reported import beside_reported, lines

        result = score(args.model, args.corpus, args.settings, args.sequences or 2048, step=args.step)
        result["leak"] = leaks.of_corpus(args.model, args.pretrained_on, args.corpus, result["sequences"])
        result["reported"] = beside_reported(result["family"], result["objectives"])
        text = "\n".join([tables.losses(result), *lines(result["reported"]), leaks.line(result["leak"])])
    elif args.fasta:
        result = pseudo_perplexity(args)
        text = tables.likelihood(result) if "bits_per_nucleotide" in result else tables.pseudo_perplexity(result)
        text += f"\n{leaks.line(result['leak'])}"
    elif args.embed:
        result = embeddings(args)
        text = tables.embeddings(result)
    elif args.vcf:
        result = variants(args)
        text = tables.variants(result)
    elif args.mutate:
        result = looking.mutagenesis(args)
        text = tables.mutagenesis(result)
    elif args.attention:
        result = looking.attention(args)
        text = f"wrote attention maps of {result['sequences']:,} sequences: {args.out}/index.html"
        text = "\n".join([text, *tables.other_letters(result)])
    else:
        result = base_pairs(args)
        text = tables.base_pairs(result)
    if args.step is not None:
        result["step"] = args.step
    print(as_json(result) if args.json else text)
    return 0


def pseudo_perplexity(args: argparse.Namespace) -> dict[str, Any]:
    """Run the option --fasta."""
    from data_prep.records import read_records
    from pretrain.evaluation import causal
    from pretrain.evaluation.model import load_model
    from pretrain.evaluation.pseudo_perplexity import pseudo_likelihoods, summary

    model = load_model(args.model, args.step)
    model.require_output_head()
    owner = "first" if causal.is_causal(model) else "middle"
    ids, sequences, counts = _fitting(args, args.fasta, model, owner)
    leak = leaks.pretraining_of(args.model, args.pretrained_on).leak(read_records(args.fasta, args.sequences)[2])
    about = {"model": args.model, "fasta": args.fasta, **counts, "leak": leak}
    if causal.is_causal(model):
        return about | causal.summary(ids, causal.likelihoods(model, sequences, "sequences"))
    return about | summary(ids, pseudo_likelihoods(model, sequences))


def embeddings(args: argparse.Namespace) -> dict[str, Any]:
    """Run the option --embed."""
    from pretrain.evaluation.embeddings import check_format, embed, write_embeddings
    from pretrain.evaluation.model import load_model

    if not args.out:
        raise PolymeraseError("--embed needs --out FILE.npz or --out FILE.safetensors")
    check_format(Path(args.out))
    looking.check_map(args)
    model = load_model(args.model, args.step)
    ids, sequences, counts = _fitting(args, args.embed, model)
    found = embed(model, ids, sequences, args.pool, args.layer)
    write_embeddings(Path(args.out), found)
    if args.map:
        looking.draw_map(args, found)
    return {
        "model": args.model, "out": args.out, "pool": args.pool, "layer": args.layer, "sequences": len(ids),
        "width": model.settings.hidden_size, **counts,
    }  # fmt: skip


def variants(args: argparse.Namespace) -> dict[str, Any]:
    """Run the option --vcf."""
    from data_prep.formats.contig_lengths import header_lengths, refuse_other_length
    from data_prep.formats.genome import read_contigs
    from data_prep.variants.snvs import read_snvs
    from pretrain.evaluation.causal import is_causal
    from pretrain.evaluation.model import load_model
    from pretrain.evaluation.out_file import check_out_file
    from pretrain.evaluation.variant_table import VariantTable

    if not args.genome:
        raise PolymeraseError("--vcf needs --genome FASTA, the reference of its coordinates")
    if args.out:
        check_out_file(Path(args.out))
    model = load_model(args.model, args.step)
    model.require_output_head()
    found, dropped = read_snvs(args.vcf, args.af_field, indels=is_causal(model))
    table, lengths = VariantTable(found[: args.sequences], dropped, args.genome), header_lengths(args.vcf)
    for contig in read_contigs(args.genome, table.names.means_any):
        for name in table.names.of(contig.name):
            refuse_other_length(args.vcf, name, lengths, len(contig.sequence))
            table.score(model, name, contig.sequence.upper(), args.window, args.strand)
    if args.out:
        table.write(Path(args.out))
    return {"model": args.model, "vcf": args.vcf, "genome": args.genome, "out": args.out} | table.summary()


def base_pairs(args: argparse.Namespace) -> dict[str, Any]:
    """Run the option --pairs."""
    from pretrain.evaluation.base_pairs import score_structures, summary
    from pretrain.evaluation.dotbracket import read_structures
    from pretrain.evaluation.model import load_model

    out = looking.folder_of(args, "--pairs") if args.out else None
    model = load_model(args.model, args.step)
    records = read_structures(Path(args.pairs))[: args.sequences]
    found = score_structures(model, records)
    result = {"model": args.model, "pairs": args.pairs} | summary(found, args.head)
    if out is not None:
        looking.draw_pairs(args, out, records, found, result["head"])
    return result


def _fitting(
    args: argparse.Namespace, path: str, model: Any, owner: Any = "middle"
) -> tuple[list[str], Any, dict[str, Any]]:
    """Ids and sequences that the model holds, or windows; what was left out or cut, by reason, and odd letters."""
    from data_prep.records import read_records
    from pretrain.evaluation.length_limits import fit
    from pretrain.evaluation.probing.table import odd_letters
    from pretrain.evaluation.sliding import sliding_windows

    ids, _, sequences = read_records(path, args.sequences)
    letters = odd_letters(path, sequences)
    ids, sequences, left_out = fit(model, path, ids, sequences, args.too_long)
    if args.too_long == "windows":
        windows = sliding_windows(model, sequences, args.window, args.stride, owner)
        return ids, windows, {"left_out": left_out, "windows": len(windows.row), **letters}
    return ids, sequences, {"left_out": left_out, **letters}
