"""Random combinations of every switch: the packed encoder is the formula, written out for one sequence at a time."""

import random
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.models import LanguageModel, PackedBatch
from pretrain.models.transformer import encoder as encoder_module
from pretrain.models.transformer.settings import TransformerSettings

CHOICES = {
    "position_embedding_type": ("learned", "sinusoidal", "rotary", "alibi", "none"),
    "position_offset": (0, 2),
    "segment_rows": (0, 2),
    "token_dropout": (False, True),
    "embedding_norm": (False, True),
    "norm": ("layer", "rms"),
    "norm_placement": ("post", "pre"),
    "residual_from": ("input", "norm"),
    "final_norm": (False, True),
    "causal": (False, True),
    "attention_bias": (False, True),
    "pairing_bias": (False, False, True),
    "mlp": ("gelu", "gelu_tanh", "relu", "swiglu", "geglu"),
    "swiglu_beta": ("one", "learned"),
    "mlp_bias": (False, True),
    "mlp_up_bias": (None, False, True),
    "head_transform": ("dense_norm", "none"),
    "head_act": ("gelu", "gelu_tanh", "relu"),
    "head_tied": (False, True),
    "head_bias": (False, True),
    "num_attention_heads": (1, 2, 3, 6),
}
SIZES = {
    "vocab_size": 11,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 20,
    "pad_token_id": 0,
    "mask_token_id": 4,
    "layer_norm_eps": 1e-5,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
LENGTHS = [9, 4, 12, 4, 1]
COUNT = 48


def sample() -> list[TransformerSettings]:
    draw, found = random.Random(3), []
    while len(found) < COUNT:
        chosen = {name: draw.choice(values) for name, values in CHOICES.items()}
        try:
            found.append(TransformerSettings(**SIZES, **chosen))
        except PolymeraseError:
            continue
    return found


class Formula:
    """One sequence through a model, every switch in turn; ``state`` holds the model's tensors."""

    def __init__(self, settings: TransformerSettings, state: dict[str, Tensor]) -> None:
        self.settings, self.state = settings, state

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"))

    def norm(self, name: str, x: Tensor) -> Tensor:
        if self.settings.norm == "layer":
            x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + self.settings.layer_norm_eps).sqrt()
        return x * self.state[f"{name}.weight"] + self.state.get(f"{name}.bias", 0.0)

    def act(self, kind: str, x: Tensor) -> Tensor:
        exact = {"gelu": 0.5 * x * (1 + torch.erf(x / 2**0.5)), "relu": x.clamp(min=0)}
        inner = (2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)
        return exact[kind] if kind in exact else 0.5 * x * (1 + torch.tanh(inner))

    def embed(self, ids: Tensor) -> Tensor:
        s, places = self.settings, torch.arange(len(ids)) + self.settings.position_offset
        x = self.state["encoder.embeddings.word.weight"][ids]
        if s.token_dropout:
            masked = ids == s.mask_token_id
            x = x * (~masked)[:, None] * 0.88 / (1 - masked.double().mean())
        if s.position_embedding_type == "learned":
            x = x + self.state["encoder.embeddings.position.weight"][places]
        if s.position_embedding_type == "sinusoidal":
            rates = 10000.0 ** (-torch.arange(12).double() / 11)
            angles = places[:, None] * rates
            x = x + torch.cat([angles.sin(), angles.cos()], dim=1)
        if s.segment_rows:
            x = x + self.state["encoder.embeddings.segment.weight"][0]
        return self.norm("encoder.embeddings.norm", x) if s.embedding_norm else x

    def turned(self, x: Tensor) -> Tensor:
        """Pairs (d, d + h/2) of (T, H, h) as complex numbers, turned by their angle."""
        half = x.shape[-1] // 2
        angles = torch.arange(len(x))[:, None] * 10000.0 ** (-torch.arange(half).double() / half)
        z = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angles), angles)[:, None]
        return torch.cat([z.real, z.imag], dim=-1)

    def attend(self, name: str, x: Tensor, below: Tensor | float) -> tuple[Tensor, Tensor]:
        s, length = self.settings, len(x)
        q, k, v = (self.linear(f"{name}.{part}", x).unflatten(1, (s.num_attention_heads, -1)) for part in PARTS)
        if s.position_embedding_type == "rotary":
            q, k = self.turned(q), self.turned(k)
        scores = torch.einsum("ihd,jhd->hij", q, k) / s.head_size**0.5 + below
        i, j = torch.arange(length)[:, None], torch.arange(length)
        biased = scores
        if s.position_embedding_type == "alibi":
            biased = biased - SLOPES[s.num_attention_heads][:, None, None] * (i - j).abs()
        if s.causal:
            biased = biased.masked_fill(j > i, -torch.inf)
        y = torch.einsum("hij,jhd->ihd", biased.softmax(-1), v).flatten(1)
        return self.linear(f"{name}.output", y), scores if s.pairing_bias else below

    def mlp(self, name: str, x: Tensor) -> Tensor:
        s, up = self.settings, self.linear(f"{name}.up", x)
        if s.mlp == "geglu":
            up = up * self.act("gelu", self.linear(f"{name}.gate", x))
        elif s.mlp == "swiglu":
            gate = self.linear(f"{name}.gate", x)
            up = up * gate / (1 + torch.exp(-self.state.get(f"{name}.beta", 1.0) * gate))
        else:
            up = self.act(s.mlp, up)
        return self.linear(f"{name}.down", up)

    def __call__(self, ids: Tensor, classes: Tensor) -> Tensor:
        s, x = self.settings, self.embed(ids)
        scores: Tensor | float = self.pairing(classes) if s.pairing_bias else 0.0
        for i in range(s.num_hidden_layers):
            layer = f"encoder.layers.{i}"
            if s.norm_placement == "post":
                y, scores = self.attend(f"{layer}.attention", x, scores)
                x = self.norm(f"{layer}.attention_norm", x + y)
                x = self.norm(f"{layer}.mlp_norm", x + self.mlp(f"{layer}.mlp", x))
                continue
            read = self.norm(f"{layer}.attention_norm", x)
            y, scores = self.attend(f"{layer}.attention", read, scores)
            x = (read if s.residual_from == "norm" else x) + y
            x = x + self.mlp(f"{layer}.mlp", self.norm(f"{layer}.mlp_norm", x))
        x = self.norm("encoder.final_norm", x) if s.final_norm else x
        if s.head_transform == "dense_norm":
            x = self.norm("mlm_head.norm", self.act(s.head_act, self.linear("mlm_head.dense", x)))
        table = self.state["encoder.embeddings.word.weight" if s.head_tied else "mlm_head.decoder.weight"]
        return x @ table.T + self.state.get("mlm_head.bias", 0.0)

    def pairing(self, classes: Tensor) -> Tensor:
        """(H, T, T): the network on the value of every pair."""
        values = torch.tensor([[VALUES.get(frozenset((a, b)), 0.0) for b in range(5)] for a in range(5)]).double()
        inner = self.act("gelu", self.linear("encoder.pairing.hidden", values[classes][:, classes][..., None]))
        return self.linear("encoder.pairing.output", inner).permute(2, 0, 1)


PARTS = ("query", "key", "value")
VALUES = {frozenset((1, 4)): 2.0, frozenset((2, 3)): 3.0, frozenset((3, 4)): 0.8}  # A-U, C-G, G-U
SLOPES = {
    1: torch.tensor([2.0**-8]),
    2: torch.tensor([2.0**-4, 2.0**-8]),
    3: torch.tensor([2.0**-4, 2.0**-8, 2.0**-2]),
    6: torch.tensor([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8, 2.0**-1, 2.0**-3]),
}


@pytest.mark.parametrize("number", range(COUNT))
def test_a_random_combination_of_switches_is_the_formula_gradients_included(number, monkeypatch):
    """On the back-end that is chosen without dropout and on the one that is chosen with it."""
    torch.manual_seed(number)
    settings = sample()[number]
    model = LanguageModel.build(replace(settings, initializer_range=0.3)).double()
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    ids = torch.randint(0, settings.vocab_size, (sum(LENGTHS),))
    ids[:2], ids[-1] = settings.mask_token_id, 5  # some masked tokens, but no sequence of nothing else
    classes = torch.randint(0, 5, ids.shape, dtype=torch.uint8)
    weights = torch.randn(len(ids), settings.vocab_size, dtype=torch.float64)

    state = {name: tensor.detach().clone().requires_grad_() for name, tensor in model.named_parameters()}
    formula = Formula(settings, state)
    parts = zip(ids.split(LENGTHS), classes.long().split(LENGTHS), strict=True)
    expected = torch.cat([formula(*part) for part in parts])
    wanted = torch.autograd.grad((expected * weights).sum(), list(state.values()), materialize_grads=True)
    padding = model.encoder.embeddings.word.padding_idx
    for backend in (None, "recomputed"):
        if backend is not None:
            monkeypatch.setattr(encoder_module, "choose_backend", lambda *_, backend=backend: backend)
        model.zero_grad()
        got = model(PackedBatch.pack(ids, LENGTHS, side={"pair_class": classes}))
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
        (got * weights).sum().backward()
        for (name, parameter), gradient in zip(model.named_parameters(), wanted, strict=True):
            rows = torch.arange(len(gradient)) != padding if "word" in name else slice(None)  # looked up, not trained
            torch.testing.assert_close(
                parameter.grad[rows],
                gradient[rows],
                atol=1e-4,
                rtol=1e-4,
                msg=lambda text, name=name: f"{name}: {text}",
            )
