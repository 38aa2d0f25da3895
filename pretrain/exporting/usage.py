"""The usage section of a model card: blocks of code that run as they stand, from the folder above the model's."""

from __future__ import annotations

from pretrain.exporting.form import Kind
from pretrain.exporting.text_contract import in_letters_of
from pretrain.families import Family
from pretrain.models import ModelSettings, architecture_of
from pretrain.tokenizers import Tokenizer

_RNA = '["AUGCAUGCAUGCAUGCAUGC", "GGGGCCCCGGGG"]'


def usage_blocks(
    name: str,
    family: Family,
    settings: ModelSettings,
    kind: Kind,
    remote: tuple[bool, bool],
    letters: Tokenizer,
    *,
    random_pooler: bool = False,
) -> list[tuple[str, str]]:
    """Return (title, code) of each block.

    Args:
        name: of the folder.
        family: of the model.
        settings: of the model.
        kind: ``mlm`` or ``encoder``.
        remote: whether the tokenizer, and whether the model brings its own code.
        letters: the tokenizer in the folder.
        random_pooler: whether AutoModel would draw a pooler that the folder lacks.
    """
    sequences, masked = (in_letters_of(letters, text) for text in (_RNA, "AUGCAUGCAUGC"))
    pooler = ", add_pooling_layer=False" if random_pooler else ""
    # transformers reads the model's config for a tokenizer too, and would ask on the terminal whether it may
    tokenizer, model = (", trust_remote_code=True" if needed else "" for needed in (any(remote), remote[1]))
    width = settings.hidden_size
    load_tokenizer = f'tokenizer = AutoTokenizer.from_pretrained("./{name}"{tokenizer})\n'
    blocks = [
        (
            "Embeddings:",
            "import torch\n"
            "from transformers import AutoModel, AutoTokenizer\n\n"
            f"{load_tokenizer}"
            f'model = AutoModel.from_pretrained("./{name}"{model}{pooler}).eval()\n'
            f'batch = tokenizer({sequences}, return_tensors="pt", padding=True)\n'
            "with torch.no_grad():\n"
            "    output = model(**batch, output_hidden_states=True)\n"
            f"embeddings = output.last_hidden_state  # [2, tokens, {width}]\n"
            "first_token = embeddings[:, 0]\n"
            f"middle_layer = output.hidden_states[{architecture_of(settings).layers(settings) // 2}]\n",
        )
    ]
    if kind == "mlm" and architecture_of(settings).is_causal(settings):
        ends = letters.eos_id >= 0
        cost = "every new token reads the whole sequence again: no cache" if remote[1] else "keys and values are kept"
        prompt = 'batch["input_ids"]' + ("[:, :-1]  # without the token that ends a sequence" if ends else "")
        blocks.append(
            (
                "Likelihood of sequences, and new ones:",
                "import torch\n"
                "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
                f"{load_tokenizer}"
                f'model = AutoModelForCausalLM.from_pretrained("./{name}"{model}).eval()\n'
                'batch = tokenizer("ATGCATGCATGC", return_tensors="pt")\n'
                "with torch.no_grad():\n"
                '    loss = model(**batch, labels=batch["input_ids"]).loss  # nats per token but the first\n'
                f"prompt = {prompt}\n"
                "sampled = model.generate(prompt, max_new_tokens=20, do_sample=True, top_k=4, temperature=0.8)\n"
                f"text = tokenizer.decode(sampled[0])  # {cost}\n",
            )
        )
    elif kind == "mlm":
        blocks.append(
            (
                "Probabilities of masked tokens:",
                "import torch\n"
                "from transformers import AutoModelForMaskedLM, AutoTokenizer\n\n"
                f"{load_tokenizer}"
                f'model = AutoModelForMaskedLM.from_pretrained("./{name}"{model}).eval()\n'
                f'batch = tokenizer("{masked}", return_tensors="pt")\n'
                'batch["input_ids"][0, 4] = tokenizer.mask_token_id\n'
                "with torch.no_grad():\n"
                f"    logits = model(**batch).logits  # [1, tokens, {settings.vocab_size}]\n"
                "probabilities = logits[0, 4].softmax(dim=-1)\n",
            )
        )
    if family.reads_base_probabilities:
        blocks.append(
            (
                "Rows of base probabilities instead of ids, and longer sequences:",
                "import torch.nn.functional as F\n"
                "from transformers import AutoModel, AutoTokenizer\n\n"
                f"{load_tokenizer}"
                f'scaling = {{"type": "dynamic", "factor": 2.0}}\n'
                f'model = AutoModel.from_pretrained("./{name}"{model}, rope_scaling=scaling).eval()\n'
                'ids = tokenizer("ATCGGGGCCCATTA", return_tensors="pt")["input_ids"]\n'
                "rows = F.one_hot(ids, num_classes=len(tokenizer)).float()\n"
                "rows[0, 3, 5:9] = rows.new_tensor([0.7, 0.0, 0.3, 0.0])  # A 0.7, G 0.3\n"
                "output = model(rows).last_hidden_state\n",
            )
        )
    return blocks


def usage_of_ids(name: str, auto_class: str, own_code: bool) -> tuple[str, str]:
    """Return (title, code) for a folder without a tokenizer."""
    trust = ", trust_remote_code=True" if own_code else ""
    return (
        "Outputs from ids:",
        "import torch\n"
        f"from transformers import {auto_class}\n\n"
        f'model = {auto_class}.from_pretrained("./{name}"{trust}).eval()\n'
        "ids = torch.tensor([[5, 6, 7, 8]])  # of your vocabulary\n"
        "with torch.no_grad():\n"
        "    output = model(input_ids=ids, attention_mask=torch.ones_like(ids))\n",
    )
