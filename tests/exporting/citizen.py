"""What users do with an exported folder, each as one check. Run by path in a process of its own, without this project.

python -P citizen.py

Each line of the input: {form: arguments of Export}
A line of the output for it: {form: {check: "" or what went wrong}} and the versions of the libraries. A check whose
library is missing says so with "skipped: ".
"""

import json
import logging
import os
import sys
import tempfile
import warnings

import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoTokenizer

CHECKS = {}
SHORTER = (0, 12, 13, 13, 14, 14, 15, 15)  # whichever four the first is among hold more letters than the other four
TRUST = {"trust_remote_code": True}


def check(function):
    CHECKS[function.__name__] = function
    return function


class Export:
    """A folder and what is needed to use it. expected: {ids, logits} of the text; checks: names, all by default."""

    def __init__(self, folder, text, causal=False, encoder=False, expected=None, checks=None):
        self.folder, self.text, self.causal = folder, text, causal
        self.tokenizer = AutoTokenizer.from_pretrained(folder, **TRUST)
        self.config = AutoConfig.from_pretrained(folder, **TRUST)
        self.expected, self.checks = expected, checks or list(CHECKS)
        self.head = "" if encoder else "CausalLM" if causal else "MaskedLM"
        self.heads = [*([self.head] if self.head else []), "SequenceClassification", "TokenClassification"]
        self.own = hasattr(self.config, "auto_map")

    def load(self, task, folder=None, seed=0, **options):
        """AutoModelFor{task} without dropout; "" for the base class. Head "LM" is that of the folder."""
        task = self.head if task == "LM" else task
        auto = getattr(transformers, f"AutoModelFor{task}" if task else "AutoModel")
        torch.manual_seed(seed)
        rates = ("hidden_dropout_prob", "attention_probs_dropout_prob", "embedding_dropout_prob")
        options = {name: 0.0 for name in rates if hasattr(self.config, name)} | options
        model = auto.from_pretrained(folder or self.folder, **TRUST, **options)
        return model.eval()

    @property
    def lora_targets(self):
        named = {name.rpartition(".")[2] for name, _ in self.load("").named_modules()}
        return [["query", "value"], "all-linear"] if "query" in named else ["all-linear"]

    def batch(self, rows=2):
        texts = [self.text[: len(self.text) - 3 * (n % 3)] for n in range(rows)]
        return dict(self.tokenizer(texts, return_tensors="pt", padding=True))


def close(one, other, atol=2e-5):
    torch.testing.assert_close(one, other, atol=atol, rtol=1e-4)


def labels_of(batch):
    return batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@check
def same_logits(export):
    """Ids and logits are those of the training code."""
    if export.expected is None:
        return "skipped: no logits given"
    batch = export.tokenizer(export.text, return_tensors="pt")
    assert batch["input_ids"][0].tolist() == export.expected["ids"]
    with torch.no_grad():
        close(export.load("LM")(**batch)[0][0], torch.tensor(export.expected["logits"]), atol=5e-5)
    return None


@check
def auto_classes(export):
    """Nothing is missing but the new head (and a pooler that the folder lacks); nothing unknown is left over."""
    for task in ("", *export.heads):
        auto = getattr(transformers, f"AutoModelFor{task}" if task else "AutoModel")
        _, info = auto.from_pretrained(export.folder, **TRUST, output_loading_info=True)
        new = ("classifier", "score", "pooler", "bert.pooler", "esm.pooler") if not task or task != export.head else ()
        missing = [name for name in info["missing_keys"] if not name.startswith(new)]
        assert not missing, f"{task}: missing {missing}"
        if export.own:
            assert not any("pooler" in name for name in info["missing_keys"]), "a random pooler"
            assert not info["unexpected_keys"], f"{task}: left over {info['unexpected_keys']}"


def _trainer(export, model, rows, folder, size, accumulation, **options):
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        folder, max_steps=1, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation,
        per_device_eval_batch_size=4, report_to=[], use_cpu=True, disable_tqdm=True, optim="sgd", learning_rate=1.0,
        lr_scheduler_type="constant", max_grad_norm=0.0, logging_steps=1, save_strategy="no", seed=0, **options,
    )  # fmt: skip
    return Trainer(model, arguments, train_dataset=rows, eval_dataset=rows, data_collator=_collate(export.tokenizer))


def _collate(tokenizer):
    def collate(rows):
        width = max(len(row["input_ids"]) for row in rows)
        batch = {k: [row[k] for row in rows] for k in ("input_ids", "attention_mask")}
        batch = dict(tokenizer.pad(batch, return_tensors="pt"))
        labels = [row["labels"] for row in rows]
        if isinstance(labels[0], list) and len(labels[0]) > 2:
            empty = [[-100] * (width - len(row)) for row in labels]
            left = tokenizer.padding_side == "left"
            labels = [pad + row if left else row + pad for row, pad in zip(labels, empty, strict=True)]
        return batch | {"labels": torch.tensor(labels)}

    return collate


def _rows(export, task, count=8):
    rows = []
    for n in range(count):
        text = export.text[: len(export.text) - SHORTER[n]]
        row = dict(export.tokenizer(text))
        ids = row["input_ids"]
        per_token = {"TokenClassification": [i % 3 for i in ids], export.head: list(ids)}
        rows.append({"input_ids": ids, "attention_mask": row["attention_mask"], "labels": per_token.get(task, n % 3)})
    return rows


@check
def trainer(export):
    """Trainer trains, evaluates and predicts with every head."""
    for task in export.heads:
        options = {} if task == export.head else {"num_labels": 3}
        with tempfile.TemporaryDirectory() as folder:
            used = _trainer(export, export.load(task, **options), _rows(export, task), folder, 4, 1)
            assert used.train().training_loss > 0
            assert used.evaluate()["eval_loss"] > 0
            assert len(used.predict(_rows(export, task)).predictions) == 8


@check
def accumulation(export):
    """Two batches of four in one update are one batch of eight, in loss and gradient."""
    for task in export.heads:
        options = {} if task == export.head else {"num_labels": 3}
        found = []
        for size, accumulation in ((8, 1), (4, 2)):
            model = export.load(task, dtype=torch.float64, **options)  # sums in another order: nothing is left
            with tempfile.TemporaryDirectory() as folder:
                loss = _trainer(export, model, _rows(export, task), folder, size, accumulation).train().training_loss
            found.append((torch.tensor(loss), *(p.detach() for p in model.parameters())))
        for one, other in zip(*found, strict=True):
            close(one, other, atol=1e-4)


@check
def problem_types(export):
    import torch.nn.functional as F

    batch = export.batch(4)
    for problem, count, labels, expected in (
        ("regression", 1, torch.tensor([0.5, -1.0, 2.0, 0.0]), lambda x, y: F.mse_loss(x.flatten(), y)),
        ("regression", 3, torch.arange(12.0).view(4, 3), F.mse_loss),
        ("single_label_classification", 3, torch.tensor([0, 2, 1, 1]), F.cross_entropy),
        (
            "multi_label_classification",
            3,
            (torch.arange(12) % 2).view(4, 3).float(),
            F.binary_cross_entropy_with_logits,
        ),
    ):
        for stated in (problem, None):
            if stated is None and (problem, count) == ("regression", 3):
                continue  # looks like several labels at once
            model = export.load("SequenceClassification", num_labels=count, problem_type=stated)
            output = model(**batch, labels=labels)
            close(output.loss, expected(output.logits, labels))


@check
def checkpointing(export):
    """Gradient checkpointing gives the same gradients."""
    found = []
    for again in (False, True):
        model = export.load("LM").train()
        if again:
            model.gradient_checkpointing_enable()
            assert model.is_gradient_checkpointing
        batch = export.batch()
        model(**batch, labels=labels_of(batch)).loss.backward()
        found.append(gradients(model))
    assert found[0].keys() == found[1].keys()
    for name in found[0]:
        close(found[0][name], found[1][name])


def _error_of(call):
    try:
        call()
    except ValueError as why:
        return str(why)
    return ""


@check
def inputs_embeds(export):
    model, batch = export.load(""), export.batch()
    ids, mask = batch["input_ids"], batch["attention_mask"]
    rows = model.get_input_embeddings()(ids)
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask).last_hidden_state
        beside = {"input_ids": ids} if getattr(export.config, "pairing_bias", False) else {}
        if beside:  # base pairs are read from ids
            refused = _error_of(lambda: model(inputs_embeds=rows, attention_mask=mask))
            assert "input_ids" in refused
            assert "\n" not in refused
        found = model(**beside, inputs_embeds=rows, attention_mask=mask).last_hidden_state
    close(found[mask.bool()], expected[mask.bool()])


def _lora(export, kind, task, targets):
    """Logits of an adapter are those of the adapter saved and loaded again, on a base that was loaded again."""
    try:
        from peft import LoraConfig, PeftModel, get_peft_model
    except ImportError:
        return "skipped: no peft"
    batch, options = (
        export.batch(),
        {"num_labels": 3} if task in ("SequenceClassification", "TokenClassification") else {},
    )
    classifier = ["classifier"] if kind == "TOKEN_CLS" and targets == "all-linear" else None
    settings = LoraConfig(
        task_type=kind, r=2, target_modules=targets, exclude_modules=classifier, init_lora_weights=False,
        modules_to_save=_poolers(export.load(task, **options)) or None,
    )  # fmt: skip
    model = get_peft_model(export.load(task, **options), settings).eval()
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        expected = model(**batch)[0]
        model.save_pretrained(folder)
        torch.manual_seed(1)
        again = PeftModel.from_pretrained(export.load(task, seed=1, **options), folder).eval()(**batch)[0]
        close(again, expected)
        plain = export.load(task, **options)(**batch)[0]
    assert not torch.allclose(plain, expected)
    return None


def _poolers(model):
    """The pooler of a class of transformers is new where the folder has none: it belongs to what is saved."""
    return ["pooler"] if any(name.endswith("pooler.dense") for name, _ in model.named_modules()) else []


@check
def lora_sequence(export):
    for targets in export.lora_targets:
        found = _lora(export, "SEQ_CLS", "SequenceClassification", targets)
    return found


@check
def lora_tokens(export):
    for targets in export.lora_targets:
        found = _lora(export, "TOKEN_CLS", "TokenClassification", targets)
    return found


@check
def lora_features(export):
    for targets in export.lora_targets:
        found = _lora(export, "FEATURE_EXTRACTION", "", targets)
    return found


@check
def resized(export):
    """More tokens: the head follows, old ids give what they gave, and the folder loads again."""
    model, batch = export.load("LM"), export.batch()
    with torch.no_grad():
        before = model(**batch)[0]
        size = before.shape[-1]
        model.resize_token_embeddings(size + 3, mean_resizing=False)
        after = model(**batch)[0]
    assert after.shape[-1] == size + 3
    close(after[..., :size], before)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        model.save_pretrained(folder)
        again = export.load("LM", folder)(**batch)[0]
    close(again, after)
    model(**batch, labels=torch.full_like(batch["input_ids"], size + 1)).loss.backward()
    assert model.get_output_embeddings().weight.grad[size + 1].abs().sum() > 0


@check
def quantized(export):
    """Dynamic quantization replaces every Linear: the result differs a little, and not from a module passed by."""
    model, batch = export.load("LM"), export.batch()
    with torch.no_grad():
        exact = model(**batch)[0]
        quantized = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
        found = quantized(**batch)[0]
    real = batch["attention_mask"].bool()
    assert not torch.equal(found[real], exact[real])
    assert (found[real] - exact[real]).abs().mean() < 0.25 * exact[real].abs().mean()


@check
def tuples(export):
    batch = export.batch()
    for task in ("", *export.heads):
        model = export.load(task)
        with torch.no_grad():
            named, plain = model(**batch), model(**batch, return_dict=False)
        assert isinstance(plain, tuple)
        close(plain[0], named[0])


def _padded(export, side):
    texts = [export.text, export.text[:-5], export.text[:-9]]
    for task in ("LM", "SequenceClassification"):
        model = export.load(task)
        batch = export.tokenizer(texts, return_tensors="pt", padding=True, padding_side=side)
        batch = {name: batch[name] for name in ("input_ids", "attention_mask")}
        with torch.no_grad():
            logits = model(**batch)[0]
            for row, text in enumerate(texts):
                alone = export.tokenizer(text, return_tensors="pt")
                expected = model(**{name: alone[name] for name in batch})[0][0]
                real = batch["attention_mask"][row].bool()
                close(logits[row][real] if task == "LM" else logits[row], expected)


@check
def padded_right(export):
    _padded(export, "right")


@check
def padded_left(export):
    _padded(export, "left")


@check
def half(export):
    """bfloat16 and float16 load and give finite numbers near those of float32."""
    batch = export.batch()
    with torch.no_grad():
        exact = export.load("LM")(**batch)[0]
        for dtype in (torch.bfloat16, torch.float16):
            model = export.load("LM", dtype=dtype)
            assert model.dtype == dtype
            found = model(**batch)[0].float()
            real = batch["attention_mask"].bool()
            assert torch.isfinite(found[real]).all()
            assert (found[real] - exact[real]).abs().mean() < 0.1 * exact[real].abs().mean()


@check
def attention(export):
    """eager and sdpa agree, and flash_attention_2 without a GPU is either refused by transformers or falls back."""
    if export.own and not export.load("")._supports_sdpa:
        return "skipped: no choice of attention"
    batch = export.batch()
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        found = {name: export.load("LM", attn_implementation=name)(**batch)[0][real] for name in ("eager", "sdpa")}
        close(found["eager"], found["sdpa"], atol=5e-5)
        if export.own:
            close(export.load("LM", attn_implementation="flash_attention_2")(**batch)[0][real], found["sdpa"])
        weights = export.load("", attn_implementation="eager")(**batch, output_attentions=True).attentions
    assert len(weights) == export.config.num_hidden_layers
    close(weights[0].sum(-1)[:, :, real[0]].mean(), torch.tensor(1.0), atol=1e-3)
    return None


class _Hidden(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask)[0]


def _same_padded(run, model, export):
    padded = export.batch(3)
    inputs = (padded["input_ids"], padded["attention_mask"])
    with torch.no_grad():
        found, expected = run(*inputs), model(*inputs)
    real = padded["attention_mask"].bool()
    close(found[real], expected[real], atol=5e-5)


def _unpadded(export):
    batch = export.tokenizer([export.text] * 3, return_tensors="pt")
    return batch["input_ids"], batch["attention_mask"]


@check
def compiled(export):
    torch._dynamo.reset()  # forgets other models
    model = _Hidden(export.load("LM"))
    _same_padded(torch.compile(model, fullgraph=True, backend="aot_eager"), model, export)


@check
def exported_program(export):
    model = _Hidden(export.load("LM"))
    program = torch.export.export(model, _unpadded(export))
    _same_padded(program.module(), model, export)


@check
def traced(export):
    """A trace of an unpadded batch reads padded ones."""
    model = _Hidden(export.load("LM"))
    with torch.no_grad():
        run = torch.jit.trace(model, _unpadded(export))
    _same_padded(run, model, export)


@check
def onnx(export):
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError:
        return "skipped: no onnxruntime and onnxscript"
    model = _Hidden(export.load("LM"))
    logging.disable(logging.WARNING)
    program = torch.onnx.export(model, _unpadded(export), dynamo=True, verbose=False)
    run = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    names = [value.name for value in run.get_inputs()]

    def evaluate(*inputs):
        return torch.from_numpy(run.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))[0])

    _same_padded(evaluate, model, export)
    return None


@check
def saved_again(export):
    """save_pretrained of every class loads again in the same way, code included."""
    batch = export.batch()
    for task in ("", *export.heads):
        model = export.load(task)
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            model.save_pretrained(folder)
            export.tokenizer.save_pretrained(folder)
            again = export.load(task, folder)(**batch)[0]
            ids = AutoTokenizer.from_pretrained(folder, **TRUST)(export.text)["input_ids"]
        close(again, model(**batch)[0])
        assert ids == export.tokenizer(export.text)["input_ids"]


@check
def pipelines(export):
    from transformers import pipeline

    features = pipeline(
        "feature-extraction", model=AutoModel.from_pretrained(export.folder, **TRUST), tokenizer=export.tokenizer
    )
    assert len(features(export.text)[0]) == len(export.tokenizer(export.text)["input_ids"])
    classify = pipeline("text-classification", model=export.load("SequenceClassification"), tokenizer=export.tokenizer)
    assert 0 <= classify(export.text)[0]["score"] <= 1
    if not export.causal:
        fill = pipeline("fill-mask", model=export.load("LM"), tokenizer=export.tokenizer)
        masked = export.text[:12] + export.tokenizer.mask_token + export.text[12:]
        assert len(fill(masked, top_k=3)) == 3


@check
def sentence_transformers(export):
    try:
        from sentence_transformers import SentenceTransformer, models
    except ImportError:
        return "skipped: no sentence-transformers"
    options = {"model_args": TRUST, "config_args": TRUST, "tokenizer_args": TRUST}
    words = models.Transformer(export.folder, **options)
    wrapped = SentenceTransformer(modules=[words, models.Pooling(export.config.hidden_size, "mean")], device="cpu")
    found = wrapped.encode([export.text, export.text[:-6]], convert_to_tensor=True)
    model = AutoModel.from_pretrained(export.folder, **TRUST).eval()
    with torch.no_grad():
        alone = model(**export.tokenizer(export.text[:-6], return_tensors="pt")).last_hidden_state[0].mean(dim=0)
    close(found[1].cpu(), alone)
    return None


@check
def generated(export):
    """Greedy generation is the argmax of the whole sequence at each step, also in a batch padded on the left."""
    if not export.causal:
        return "skipped: not causal"
    model = export.load("LM")
    ids = export.tokenizer(export.text, return_tensors="pt")["input_ids"][:, :-1]
    mask = torch.ones_like(ids)
    with torch.no_grad():
        found = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=4, do_sample=False, eos_token_id=None)
        for place in range(ids.shape[1], found.shape[1]):
            assert model(found[:, :place]).logits[0, -1].argmax() == found[0, place]
        padded = torch.cat([torch.full((1, 3), export.config.pad_token_id), ids], dim=1)
        mask = torch.cat([torch.zeros(1, 3, dtype=torch.int64), mask], dim=1)
        left = model.generate(
            input_ids=padded, attention_mask=mask, max_new_tokens=4, do_sample=False, eos_token_id=None
        )
    assert left[0, 3:].tolist() == found[0].tolist()
    return None


def results_of(jobs):
    results = {}
    for form, job in jobs.items():
        export = Export(**job)
        results[form] = {}
        for name in export.checks:
            try:
                results[form][name] = CHECKS[name](export) or ""
            except Exception as why:
                if os.environ.get("CITIZEN_TRACE"):
                    import traceback

                    traceback.print_exc()
                results[form][name] = f"{type(why).__name__}: {' '.join(str(why).split())[:300]}"
    return results


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print to stdout
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    for line in sys.stdin:
        results = results_of(json.loads(line))
        assert "pretrain" not in sys.modules
        print(json.dumps({"versions": versions, "results": results}), file=answers, flush=True)


if __name__ == "__main__":
    main()
