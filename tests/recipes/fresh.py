"""Run by path in a process of its own, without this project: logits of one text from each of several folders.

python -P fresh.py JOBS.json OUT.safetensors      jobs: {name: [folder, text, trust_remote_code]}
"""

import json
import sys


def main(jobs: str, out: str) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

    logits = {}
    with open(jobs) as file:
        for name, (folder, text, trust) in json.load(file).items():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
            config = AutoConfig.from_pretrained(folder, trust_remote_code=trust)
            causal = config.architectures[0].endswith(("ForCausalLM", "LMHeadModel"))
            kind = AutoModelForCausalLM if causal else AutoModelForMaskedLM
            model = kind.from_pretrained(folder, trust_remote_code=trust, dtype=torch.float32).eval()
            with torch.no_grad():
                logits[name] = model(**tokenizer([text], return_tensors="pt")).logits[0].contiguous()
    assert "pretrain" not in sys.modules
    save_file(logits, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
