"""Load an exported folder as its users will. Run by path in a process of its own; imports nothing of this project.

    python -P fresh_process.py FOLDER PROBE.json OUT.safetensors

Reads texts from the probe, tokenizes them, puts the mask token at the given places, runs the model, and writes the
token ids, the attention mask and the model's output.
"""

import json
import sys


def main(folder: str, probe_path: str, out_path: str) -> None:
    """Load an export as its users do, and write its output for the probe."""
    import torch
    import transformers
    from safetensors.torch import save_file

    with open(probe_path, encoding="utf-8") as file:
        probe = json.load(file)
    auto_class = getattr(transformers, probe["auto_class"])
    model, loading = auto_class.from_pretrained(
        folder, trust_remote_code=probe["remote_model"], output_loading_info=True, dtype=torch.float32
    )
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(map(str, loading.get(problem) or ()))
        allowed = probe["may_be_left" if problem == "unexpected_keys" else "may_be_new"]
        names = [name for name in names if not name.startswith(tuple(allowed))]
        if names:
            sys.exit(f"{problem.replace('_', ' ')} when {auto_class.__name__} loads it: {', '.join(names[:6])}")
    if probe["ids"] is None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=probe["remote_tokenizer"])
        batch = tokenizer(probe["texts"], return_tensors="pt", padding=True)
        mask_id = tokenizer.mask_token_id
    else:
        width = max(map(len, probe["ids"]))
        rows = [row + [probe["pad_id"]] * (width - len(row)) for row in probe["ids"]]
        real = [[1] * len(row) + [0] * (width - len(row)) for row in probe["ids"]]
        batch, mask_id = {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(real)}, None
    ids = batch["input_ids"].clone()
    for row, column in probe["masked"]:
        batch["input_ids"][row, column] = mask_id
    with torch.no_grad():
        output = model.eval()(**batch)[0]
    save_file({"input_ids": ids, "attention_mask": batch["attention_mask"], "output": output.contiguous()}, out_path)


if __name__ == "__main__":
    main(*sys.argv[1:])
