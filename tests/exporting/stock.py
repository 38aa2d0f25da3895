"""Run by path in a process of its own, without this project: logits of given inputs from each of several folders.

python -P stock.py JOBS.json INPUTS.safetensors OUT.safetensors   jobs: {name: [folder, trusts code, is causal]}

Inputs are ``name.case.input_ids`` (ids or float rows) and ``name.case.attention_mask``; outputs ``name.case``.
"""

import json
import sys


def main(jobs: str, inputs: str, out: str) -> None:
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    given, logits = load_file(inputs), {}
    with open(jobs) as file:
        for name, (folder, trust, causal) in json.load(file).items():
            auto = AutoModelForCausalLM if causal else AutoModelForMaskedLM
            model = auto.from_pretrained(folder, trust_remote_code=trust, dtype=torch.float32).eval()
            for key in [key for key in given if key.startswith(f"{name}.") and key.endswith(".input_ids")]:
                case = key.removesuffix(".input_ids")
                with torch.no_grad():
                    found = model(given[key], attention_mask=given[f"{case}.attention_mask"]).logits
                logits[case] = found.contiguous()
    assert "pretrain" not in sys.modules
    save_file(logits, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
