"""ERNIE-RNA for transformers: a post-LN encoder whose attention scores start as a base-pairing bias.

Part of an exported model folder: depends on torch and transformers only. Every value that training did not learn
(sinusoids, pairing table) is computed in the forward pass, so nothing is left uninitialised by ``from_pretrained``.

Layout of the weights (``i`` counts layers from 0):

    encoder.embeddings.word.weight [V, D], also the output matrix of the MLM head
    encoder.embeddings.norm.{weight,bias}
    encoder.pairing.hidden.{weight [6, 1],bias}, encoder.pairing.output.{weight [H, 6],bias}
    encoder.layers.i.attention.{query,key,value,output}.{weight,bias}, encoder.layers.i.attention_norm.{weight,bias}
    encoder.layers.i.mlp.{up [F, D],down [D, F]}.{weight,bias}, encoder.layers.i.mlp_norm.{weight,bias}
    mlm_head.dense.{weight,bias}, mlm_head.norm.{weight,bias}, mlm_head.bias [V]
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from .configuration_ernie_rna import ErnieRnaConfig

PAIRING_WIDTH = 6  # a constant of the published model, whatever the number of heads
ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu}


@dataclass
class ErnieRnaModelOutput(ModelOutput):
    """hidden_states: L+1 tensors [B, T, D]. scores: L+1 tensors [B, H, T, T], first the pairing bias, then the
    attention scores of each layer before the softmax (minus infinity where the key is padding)."""

    last_hidden_state: torch.FloatTensor | None = None
    hidden_states: tuple | None = None
    attentions: tuple | None = None
    scores: tuple | None = None


@dataclass
class ErnieRnaHeadOutput(ModelOutput):
    """logits: [B, T, V] of the MLM head, [B, num_labels] of the classifier. The rest as in ErnieRnaModelOutput."""

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    hidden_states: tuple | None = None
    attentions: tuple | None = None
    scores: tuple | None = None


def sinusoids(rows, width):
    """fairseq's sinusoid table at the given rows: [B, T] -> float32 [B, T, width], sines then cosines."""
    half = width // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float, device=rows.device) * -(math.log(10000) / (half - 1)))
    angles = rows.to(torch.float)[..., None] * rates
    return F.pad(torch.cat([angles.sin(), angles.cos()], dim=-1), (0, width % 2))


class ErnieRnaEmbeddings(nn.Module):
    """Token embedding + sinusoids, LayerNorm, dropout; rows of padding are zero."""

    def __init__(self, config):
        super().__init__()
        self.position_offset = config.position_offset
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)  # the pad row is trained: keep it
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids, real):
        x = self.word(input_ids)
        positions = torch.cumsum(real, dim=1) - 1 + self.position_offset  # padding does not count
        table = sinusoids(positions, x.shape[-1]).masked_fill(~real[..., None], 0.0)
        x = self.dropout(self.norm(x + table.to(x.dtype)))
        return x.masked_fill(~real[..., None], 0.0)


class ErnieRnaPairing(nn.Module):
    """Pairing values of all token pairs -> one bias per head, in float32 whatever the model's dtype."""

    def __init__(self, config):
        super().__init__()
        self.vocab_size = config.vocab_size
        self.pairs = config.pairing_scores
        self.hidden = nn.Linear(1, PAIRING_WIDTH)
        self.output = nn.Linear(PAIRING_WIDTH, config.num_attention_heads)

    def values(self, input_ids, real, selected):
        """[B, T, T]: the score of each pair; -1 in rows and columns of selected positions; 0 at padding."""
        table = torch.zeros(self.vocab_size, self.vocab_size)
        for first, second, score in self.pairs:
            table[first, second] = table[second, first] = score
        values = table.to(input_ids.device)[input_ids[:, :, None], input_ids[:, None, :]]
        if selected is not None:
            selected = selected.to(torch.bool)
            values = values.masked_fill(selected[:, :, None] | selected[:, None, :], -1.0)
        return values.masked_fill(~(real[:, :, None] & real[:, None, :]), 0.0)

    def forward(self, values):
        """[B, T, T] -> float32 [B, H, T, T]."""
        with torch.autocast(values.device.type, enabled=False):
            x = values.float()[..., None]
            x = F.gelu(F.linear(x, self.hidden.weight.float(), self.hidden.bias.float()))
            x = F.linear(x, self.output.weight.float(), self.output.bias.float())
        return x.permute(0, 3, 1, 2)


class ErnieRnaAttention(nn.Module):
    """Attention whose scores are q k^T / sqrt(h) plus the scores of the layer below."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x, bias, want_scores, want_attentions):
        """x [B, T, D], bias [B, H, T, T] -> output [B, T, D], scores or None, attention probabilities or None."""
        batch, length, width = x.shape
        size = width // self.heads
        q, k, v = (
            f(x).view(batch, length, self.heads, size).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        q = q * size**-0.5
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        scores = attentions = None
        if self.config._attn_implementation == "sdpa" and not want_attentions:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), dropout_p=dropout, scale=1.0)
            if want_scores:
                scores = bias + (q @ k.transpose(-1, -2)).to(bias.dtype)
        else:
            scores = bias + (q @ k.transpose(-1, -2)).to(bias.dtype)
            attentions = scores.softmax(dim=-1).to(v.dtype)
            y = F.dropout(attentions, dropout) @ v
        return self.output(y.transpose(1, 2).reshape(batch, length, width)), scores, attentions


class ErnieRnaMlp(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)
        self.act = ACTIVATIONS[config.hidden_act]

    def forward(self, x):
        return self.down(self.act(self.up(x)))


class ErnieRnaLayer(nn.Module):
    """Attention and MLP, each followed by a residual sum and a LayerNorm."""

    def __init__(self, config):
        super().__init__()
        self.attention = ErnieRnaAttention(config)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = ErnieRnaMlp(config)
        self.mlp_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x, bias, want_scores, want_attentions):
        y, scores, attentions = self.attention(x, bias, want_scores, want_attentions)
        x = self.attention_norm(x + self.dropout(y))
        return self.mlp_norm(x + self.dropout(self.mlp(x))), scores, attentions


class ErnieRnaPreTrainedModel(PreTrainedModel):
    config_class = ErnieRnaConfig
    base_model_prefix = "encoder"
    _no_split_modules = ("ErnieRnaLayer",)
    _supports_sdpa = True


class ErnieRnaModel(ErnieRnaPreTrainedModel):
    """The encoder. There is no pooler: use ``last_hidden_state[:, 0]`` (<cls>)."""

    _keys_to_ignore_on_load_unexpected = (r"mlm_head\..*",)

    def __init__(self, config):
        super().__init__(config)
        self.embeddings = ErnieRnaEmbeddings(config)
        self.pairing = ErnieRnaPairing(config)
        self.layers = nn.ModuleList(ErnieRnaLayer(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    def get_input_embeddings(self):
        return self.embeddings.word

    def set_input_embeddings(self, value):
        self.embeddings.word = value

    def forward(
        self,
        input_ids,
        attention_mask=None,
        token_type_ids=None,
        selected_positions=None,
        pair=None,
        output_hidden_states=None,
        output_attentions=None,
        output_scores=False,
        return_dict=None,
    ):
        """Encode a batch.

        input_ids: [B, T], padded on the right. attention_mask: [B, T], 1 for tokens; by default everything but <pad>.
        token_type_ids: accepted and ignored, as the published model has only one kind of token.
        selected_positions: bool [B, T], the positions chosen for prediction in masked language modelling (masked,
        replaced and left unchanged alike). Pretraining marks their pairs with -1; without this argument <mask> merely
        pairs with nothing, which pretraining never showed. Pass it to train or to measure MLM losses.
        pair: float [B, T, T], pairing values to use instead of those of the sequence.
        output_scores: also return the attention scores before the softmax, see ErnieRnaModelOutput.
        """
        want_states = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        want_attentions = self.config.output_attentions if output_attentions is None else output_attentions
        real = input_ids != self.config.pad_token_id
        if attention_mask is not None:
            real = real & attention_mask.to(torch.bool)
        x = self.embeddings(input_ids, real)
        if pair is None:
            pair = self.pairing.values(input_ids, real, selected_positions)
        bias = self.pairing(pair)
        states, attentions, scores = [x], [], [bias]
        bias = bias.masked_fill(~real[:, None, None, :], float("-inf"))
        for number, layer in enumerate(self.layers, start=1):
            hand_on = output_scores or number < len(self.layers)
            x, bias, probabilities = layer(x, bias, hand_on, want_attentions)
            states.append(x)
            attentions.append(probabilities)
            if output_scores:
                scores.append(bias)
        output = ErnieRnaModelOutput(
            last_hidden_state=x,
            hidden_states=tuple(states) if want_states else None,
            attentions=tuple(attentions) if want_attentions else None,
            scores=tuple(scores) if output_scores else None,
        )
        return output if return_dict is not False else output.to_tuple()


class ErnieRnaMlmHead(nn.Module):
    """norm(act(dense(x))) E^T + bias, with E the token embedding."""

    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.act = ACTIVATIONS[config.hidden_act]

    def forward(self, x, embedding):
        return F.linear(self.norm(self.act(self.dense(x))), embedding, self.bias)


class ErnieRnaForMaskedLM(ErnieRnaPreTrainedModel):
    """Encoder and MLM head. labels: [B, T], -100 where nothing is predicted; see ErnieRnaModel on
    selected_positions."""

    def __init__(self, config):
        super().__init__(config)
        self.encoder = ErnieRnaModel(config)
        self.mlm_head = ErnieRnaMlmHead(config)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, labels=None, return_dict=None, **options):
        output = self.encoder(input_ids, attention_mask, **options)
        logits = self.mlm_head(output.last_hidden_state, self.get_input_embeddings().weight)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100)
        return _head_output(loss, logits, output, return_dict)


class ErnieRnaForSequenceClassification(ErnieRnaPreTrainedModel):
    """A linear classifier on <cls>. labels: floats for one label (mean squared error), class numbers, or floats
    [B, num_labels] for several labels at once (binary cross-entropy)."""

    _keys_to_ignore_on_load_unexpected = (r"mlm_head\..*",)

    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        rate = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.encoder = ErnieRnaModel(config)
        self.dropout = nn.Dropout(rate)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, labels=None, return_dict=None, **options):
        output = self.encoder(input_ids, attention_mask, **options)
        logits = self.classifier(self.dropout(output.last_hidden_state[:, 0]))
        loss = None
        if labels is not None and self.num_labels == 1:
            loss = F.mse_loss(logits.flatten(), labels.flatten().to(logits.dtype))
        elif labels is not None and labels.is_floating_point():
            loss = F.binary_cross_entropy_with_logits(logits, labels)
        elif labels is not None:
            loss = F.cross_entropy(logits, labels)
        return _head_output(loss, logits, output, return_dict)


def _head_output(loss, logits, encoded, return_dict):
    output = ErnieRnaHeadOutput(
        loss=loss,
        logits=logits,
        hidden_states=encoded.hidden_states,
        attentions=encoded.attentions,
        scores=encoded.scores,
    )
    return output if return_dict is not False else output.to_tuple()
