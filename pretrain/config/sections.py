"""The sections of a run's YAML, one class per section: names, types, defaults and what each key means.

Only pydantic is imported here, so reading a config (and ``--help``) starts no framework. The config tree mirrors the
module tree: ``masking:`` is read by ``pretrain/masking``, ``objectives:`` by ``pretrain/objectives``, and so on.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pretrain.config.corpus import Corpus
from pretrain.config.phase import Phase
from pretrain.config.section import BelowOne, Count, NonNegative, Port, Positive, PositiveFloat, Section
from pretrain.masking.settings import MaskingSettings


class Run(Section):
    """Where the run lives and what makes it repeatable."""

    dir: str | None = None  # default: runs/<name of the config file>
    seed: Count = 0


class Model(Section):
    """Backbone, output head and tokenizer.

    Besides the keys below, every field of the architecture's settings and options is a key: ``config/model.py`` adds
    them, ``models/transformer/settings.py`` says what those of a transformer mean. Keys left out are as in the
    published model of ``family``.
    """

    family: str | None = None  # a published model to start from; default: ernie_rna, unless an architecture is named
    architecture: str | None = None  # default: that of the family; alone, it needs a tokenizer and all sizes
    tokenizer: str | None = None  # default: that of the family
    tokenizer_file: str | None = None  # of tokenizers that are read from a file (bpe)
    init_from: str | None = None  # Hugging Face folder whose weights the run starts from
    # init_from may be a family with fewer tokens: rows follow their tokens, new ones begin in the middle of the old
    extend_vocabulary: bool = False


class Mlm(Section):
    """Cross-entropy of the original token at the selected positions."""

    weight: PositiveFloat = 1.0


class CausalLm(Section):
    """Cross-entropy of the token that follows; for causal backbones, with ``masking: {strategy: none}``."""

    weight: PositiveFloat = 1.0
    ignored_tokens: list[str] = []  # tokens of the vocabulary that are never a target, for example ["N"]


class Hierarchical(Section):
    """A loss on a tree whose leaves are the tokens (HELM): wrong codons of the right amino acid cost less."""

    weight: PositiveFloat = 1.0
    loss: Literal["cross_entropy", "soft_labels"] = "cross_entropy"
    predicts: Literal["masked", "next"] = "masked"  # the selected tokens, or the next one (causal backbones)
    tree: str = "codons"  # or a JSON file of child: parent over all tokens of the vocabulary
    alpha: NonNegative = 0.2  # cross_entropy: an edge weighs exp(-alpha depth)
    beta: PositiveFloat = 15.0  # soft_labels: a token at distance d has exp(-beta d / depth of the tree)


class SoftLabel(Section):
    """Cross-entropy against the allele frequencies at the selected positions (MutBERT)."""

    weight: PositiveFloat = 1.0


class Structure(Section):
    """Three-class cross-entropy of the dot-bracket symbol (UTR-LM)."""

    weight: PositiveFloat = 1.0
    positions: Literal["all", "masked"] = "all"
    label_shift: Literal[-1, 0] = (
        0  # upstream release of UTR-LM: -1 (symbol j is trained at the token of nucleotide j-1)
    )


class Mfe(Section):
    """Squared error of the minimum free energy, z-scored with the corpus's mean and deviation (UTR-LM)."""

    weight: PositiveFloat = 1.0


class RnaType(Section):
    """Which type of RNA a sequence is (RNAErnie)."""

    weight: PositiveFloat = 1.0
    mode: Literal["head", "label_token"] = "head"  # a classifier on the first token, or the hidden label slot


class Objectives(Section):
    """Any set of losses with weights; a key that is absent (or null) is off."""

    mlm: Mlm | None = None
    causal_lm: CausalLm | None = None
    hierarchical: Hierarchical | None = None
    soft_label: SoftLabel | None = None
    structure: Structure | None = None
    mfe: Mfe | None = None
    rna_type: RnaType | None = None
    # global_mean: sum over all ranks and micro-batches / their common count, whatever the number of GPUs.
    # Published alternatives: micro_batch_mean (DNABERT, MutBERT), sequence_weighted (ERNIE-RNA on fairseq:
    # mean of each micro-batch weighted by its number of sequences), sum (UTR-LM stage 1).
    reduction: Literal["global_mean", "micro_batch_mean", "sequence_weighted", "sum"] = "global_mean"

    def active(self) -> dict[str, Section]:
        """Return name -> settings of the objectives that are on, in the order above."""
        return {name: value for name, value in self if isinstance(value, Section)}


class Batch(Section):
    """One micro-batch on one rank: full when the next sequence would exceed any of its bounds."""

    tokens: Positive | None = None
    sequences: Positive | None = None
    pair_cells: Positive | None = (
        None  # pairing-bias models: bound on the sum of squared lengths (memory of the scores)
    )
    # Fill every micro-batch up to batch.tokens (or batch.sequences of the longest) with padding of no effect, so that
    # all have one shape (docs/config.md#batches-of-one-shape)
    static: bool = False
    accumulation: Positive = 1
    # Micro-batches of one optimizer step over all ranks. Default: accumulation x ranks of the first start; a resumed
    # run keeps it, so that the global batches stay the same on any number of GPUs.
    micro_batches_per_step: Positive | None = None


class Optimizer(Section):
    """``adamw_fairseq`` is AdamW as fairseq writes it (eps outside the bias correction); ``adam`` has L2 decay.

    ``muon`` is Muon for hidden matrices (momentum 0.95, updates as large as AdamW's) and AdamW for the rest.
    """

    name: Literal["adamw", "adamw_fairseq", "adam", "sgd", "muon"] = "adamw"
    lr: PositiveFloat = 1e-4
    weight_decay: NonNegative = 0.01
    # Which parameters decay. all_but_filters (HyenaDNA): biases and norms too, but not the networks of long filters
    decay: Literal["all", "no_bias_no_norm", "all_but_filters"] = "no_bias_no_norm"
    betas: tuple[BelowOne, BelowOne] = Field(default=(0.9, 0.999), strict=False)
    eps: PositiveFloat = 1e-8
    momentum: BelowOne = 0.0  # sgd
    max_grad_norm: NonNegative = 1.0  # 0: no clipping


class Schedule(Section):
    """Learning rate: linear warm-up from ``start_lr``, then the named decay to ``min_lr`` at ``total_steps``."""

    # cosine_from_start (timm, HyenaDNA): the cosine runs from step 0, the warm-up covers its beginning
    # inverse_sqrt (Nucleotide Transformer): peak x sqrt(warmup_steps / step), without an end
    # wsd: the peak until the last decay_steps, which go down in a line
    name: Literal["constant", "linear", "cosine", "cosine_from_start", "inverse_sqrt", "wsd"] = "linear"
    warmup_steps: Count = 0
    decay_steps: Count = 0  # wsd
    total_steps: Positive | None = None  # default: train.steps; later than train.steps stops in mid-decay
    start_lr: NonNegative = 0.0
    min_lr: NonNegative = 0.0
    first_step: Literal[0, 1] = 0  # the first update takes the rate of this step (transformers 0, fairseq 1)


class Engine(Section):
    """How DeepSpeed runs the training."""

    zero_stage: Literal[0, 1, 2, 3] = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    offload_optimizer: Literal["none", "cpu"] = "none"
    offload_param: Literal["none", "cpu"] = "none"
    require_gpu: bool = False  # refuse to run on CPU (a node with a broken driver falls back silently otherwise)
    timeout_s: Positive = 1800  # a collective that waits longer ends the run with the reason
    lost_rank_s: Positive = 120  # a rank that is silent for longer is lost: the others name it and end
    interface: str | None = None  # network interface, such as ib0; GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME win over it
    port: Port | None = None  # of the rendezvous under srun; default: MASTER_PORT, or one that follows from the job
    deepspeed: str | None = None  # JSON file merged into the DeepSpeed configuration, for what has no key here


class Bench(Section):
    """Labeled tasks that are asked by frozen features while a model trains (``train.bench_every``)."""

    suite: str  # rna, utr, dna, variants, or a .yaml
    tasks: list[str] = []  # of the suite; empty: all whose files are there
    data: str = "data"  # where the files of the suite are


class Train(Section):
    """Length of the run, and what happens every so many steps (0: never)."""

    steps: Positive
    phases: list[Phase] = []  # one after the other; their lengths add up to steps. Empty: the whole run is one
    save_every: Count = 0  # a last checkpoint is always written at the end
    eval_every: Count = 0  # a last evaluation is always made at the end
    bench_every: Count = 0  # asks the tasks of train.bench; one rank does, the others wait
    bench: Bench | None = None
    log_every: Positive = 10
    # background: rank 0 writes copies while the training goes on. waiting: the training waits. sharded: it waits, and
    # every rank writes its part, so that none holds the whole model. auto: sharded from 10^9 parameters on, on more
    # than one rank; background else
    checkpoints: Literal["auto", "background", "waiting", "sharded"] = "auto"
    keep_last: Positive = 2
    keep_every: Count = 0  # checkpoints at multiples of this stay for ever
    eval_sequences: Positive = 2048  # at most this many validation samples per evaluation
    # Stop when so many evaluations in a row brought no lower held-out loss (weighted sum of the objectives); 0: never.
    # The checkpoint of the best evaluation is kept.
    patience: Count = 0
    loader_workers: Count = 0
    # Numbers that go wrong. An update whose gradient is not finite never reaches the weights, whatever is set here.
    on_bad_step: Literal["skip", "stop", "roll_back"] = "skip"  # such an update, or a loss that is not finite
    on_spike: Literal["count", "skip", "stop", "roll_back"] = "count"  # skip waits for the device in every step
    spike_deviations: NonNegative = 10.0  # a loss this many running deviations above its running mean; 0: not watched
    bad_steps_in_a_row: Positive = 5  # more bad steps in a row, or roll-backs to one checkpoint, end the run
    on_save_failure: Literal["continue", "stop"] = "continue"  # disk full: go on without this checkpoint, or stop


class Tracking(Section):
    """Where the run is shown beside its folder. A failure there is reported once and never stops a run."""

    sinks: list[Literal["mlflow", "tensorboard", "wandb"]] = ["mlflow"]  # []: the run folder alone
    uri: str | None = None  # of MLflow; default: MLFLOW_TRACKING_URI, else mlflow.db beside the run folder
    experiment: str = "polymerase"  # of MLflow; the project of W&B
    group: Annotated[str, Field(pattern=r'^[^"\\]+$')] | None = (
        None  # runs of one sweep: children of one run in MLflow, a group in W&B
    )

    @model_validator(mode="before")
    @classmethod
    def _of_older_runs(cls, values: Any) -> Any:
        """``mlflow: true`` or ``false`` stands in configs that were saved before there were other sinks."""
        if not isinstance(values, dict) or "mlflow" not in values:
            return values
        if "sinks" in values or not isinstance(values["mlflow"], bool):
            raise ValueError("expected sinks, for example [mlflow, tensorboard], got mlflow; leave mlflow out")
        rest = {key: value for key, value in values.items() if key != "mlflow"}
        return rest | {"sinks": ["mlflow"] if values["mlflow"] else []}

    @field_validator("sinks")
    @classmethod
    def _once(cls, values: list[str]) -> list[str]:
        if len(set(values)) < len(values):
            raise ValueError(f"expected each of them once, got {values}; leave one out")
        return values


class Config(Section):
    """One run."""

    # upstream: the family's published defects, bug-compatible. applied: those values stand in their keys already
    # (written into the saved config of a run).
    quirks: Literal["fixed", "upstream", "applied"] = "fixed"
    run: Run = Run()
    corpus: Corpus = Corpus()
    model: Model = Model()
    masking: MaskingSettings
    objectives: Objectives
    batch: Batch
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    engine: Engine = Engine()
    train: Train
    tracking: Tracking = Tracking()
