"""MutBERT for transformers: BERT with rotary positions that reads token ids or rows of base probabilities.

Part of an exported model folder: depends on torch and transformers only. The weights have the names of the published
checkpoint (``bert.…``, ``cls.predictions.…``; the tied output matrix is stored once). The model type is "mutbert", not
the "bert" of the published config, because transformers would load that as its own BertModel, silently and wrongly,
wherever ``trust_remote_code`` is not given. Rotary angles are computed in each call from that call's length, so a long
input leaves no trace in later ones.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling, MaskedLMOutput, SequenceClassifierOutput

from .configuration_mutbert import MutBertConfig

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu}


def scaling_of(config):
    """(type or None, factor) of config.rope_scaling."""
    scaling = config.rope_scaling or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return None, 1.0
    factor = scaling.get("factor")
    if kind not in ("linear", "dynamic") or not isinstance(factor, (int, float)) or factor < 1:
        raise ValueError(f'rope_scaling {scaling} should be like {{"type": "linear" or "dynamic", "factor": 2.0}}')
    return kind, float(factor)


def rotary_angles(position_ids, length, config):
    """Positions [B, T] -> cosines and sines, float32 [B, 1, T, head size]; the angles stand twice side by side."""
    size = config.hidden_size // config.num_attention_heads
    kind, factor = scaling_of(config)
    theta, positions = config.rope_theta, position_ids.float()
    if kind == "linear":
        positions = positions / factor
    elif kind == "dynamic" and length > config.max_position_embeddings:
        stretch = factor * length / config.max_position_embeddings - (factor - 1)
        theta = theta * stretch ** (size / (size - 2))
    exponents = torch.arange(0, size, 2, dtype=torch.float, device=position_ids.device) / size
    angles = positions[..., None] / theta**exponents
    angles = torch.cat([angles, angles], dim=-1)[:, None]
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return (x * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)


class MutBertEmbeddings(nn.Module):
    """Token embedding (of an id, or mixed by a row of probabilities) + token type, LayerNorm, dropout."""

    def __init__(self, config):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)  # the pad row is trained: keep it
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids, token_type_ids, inputs_embeds):
        x = inputs_embeds
        if x is None and input_ids.dim() == 3:  # rows of probabilities [B, T, V]
            x = input_ids.to(self.word_embeddings.weight.dtype) @ self.word_embeddings.weight
        elif x is None:
            x = self.word_embeddings(input_ids)
        if token_type_ids is None:
            x = x + self.token_type_embeddings.weight[0]
        else:
            x = x + self.token_type_embeddings(token_type_ids)
        return self.dropout(self.LayerNorm(x))


class MutBertSelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x, angles, mask, want_attentions):
        """x [B, T, D], mask bool [B, 1, 1, T] or None -> [B, T, D], probabilities [B, H, T, T] or None."""
        batch, length, width = x.shape
        size = width // self.heads
        q, k, v = (
            f(x).view(batch, length, self.heads, size).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        q, k = rotate(q, *angles), rotate(k, *angles)
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        attentions = None
        if self.config._attn_implementation == "sdpa" and not want_attentions:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        else:
            scores = q @ k.transpose(-1, -2) * size**-0.5
            if mask is not None:
                scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
            attentions = scores.softmax(dim=-1, dtype=torch.float).to(v.dtype)
            y = F.dropout(attentions, dropout) @ v
        return y.transpose(1, 2).reshape(batch, length, width), attentions


class MutBertResidual(nn.Module):
    """LayerNorm(dropout(dense(x)) + residual)."""

    def __init__(self, config, inputs):
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x, residual):
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class MutBertAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.self = MutBertSelfAttention(config)
        self.output = MutBertResidual(config, config.hidden_size)

    def forward(self, x, angles, mask, want_attentions):
        y, attentions = self.self(x, angles, mask, want_attentions)
        return self.output(y, x), attentions


class MutBertIntermediate(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.act = ACTIVATIONS[config.hidden_act]

    def forward(self, x):
        return self.act(self.dense(x))


class MutBertLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.attention = MutBertAttention(config)
        self.intermediate = MutBertIntermediate(config)
        self.output = MutBertResidual(config, config.intermediate_size)

    def forward(self, x, angles, mask, want_attentions):
        x, attentions = self.attention(x, angles, mask, want_attentions)
        return self.output(self.intermediate(x), x), attentions


class MutBertEncoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layer = nn.ModuleList(MutBertLayer(config) for _ in range(config.num_hidden_layers))


class MutBertMeanPooler(nn.Module):
    """Mean over real tokens, [CLS] and [SEP] included. No parameters."""

    def __init__(self, config):
        super().__init__()

    def forward(self, x, attention_mask):
        if attention_mask is None:
            return x.mean(dim=1)
        weights = attention_mask.to(x.dtype)[..., None]
        return (x * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


class MutBertFirstTokenPooler(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x, attention_mask):
        return torch.tanh(self.dense(x[:, 0]))


POOLERS = {"mean": MutBertMeanPooler, "first_token_transform": MutBertFirstTokenPooler}


class MutBertPreTrainedModel(PreTrainedModel):
    config_class = MutBertConfig
    base_model_prefix = "bert"
    _no_split_modules = ("MutBertLayer",)
    _supports_sdpa = True


class MutBertModel(MutBertPreTrainedModel):
    """The encoder with its pooler."""

    _keys_to_ignore_on_load_unexpected = (r"cls\..*",)

    def __init__(self, config, add_pooling_layer=True):
        super().__init__(config)
        scaling_of(config)  # refuses what it does not know
        self.embeddings = MutBertEmbeddings(config)
        self.encoder = MutBertEncoder(config)
        self.pooler = POOLERS[config.pooler_type](config) if add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self):
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value):
        self.embeddings.word_embeddings = value

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        inputs_embeds=None,
        output_hidden_states=None,
        output_attentions=None,
        return_dict=None,
    ):
        """Encode a batch.

        input_ids: token ids [B, T], or rows of probabilities over the vocabulary [B, T, 9]; one-hot rows give what
        their ids give. attention_mask: [B, T], 1 for tokens; all of them by default.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        if input_ids is not None and input_ids.dim() not in (2, 3):
            raise ValueError(f"input_ids should be ids [B, T] or rows [B, T, {self.config.vocab_size}]")
        want_states = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        want_attentions = self.config.output_attentions if output_attentions is None else output_attentions
        x = self.embeddings(input_ids, token_type_ids, inputs_embeds)
        if position_ids is None:
            position_ids = torch.arange(x.shape[1], device=x.device)[None]
        angles = rotary_angles(position_ids, x.shape[1], self.config)
        mask = None
        if attention_mask is not None and not attention_mask.all():
            mask = attention_mask.to(torch.bool)[:, None, None, :]
        states, attentions = [x], []
        for layer in self.encoder.layer:
            x, probabilities = layer(x, angles, mask, want_attentions)
            states.append(x)
            attentions.append(probabilities)
        output = BaseModelOutputWithPooling(
            last_hidden_state=x,
            pooler_output=self.pooler(x, attention_mask) if self.pooler is not None else None,
            hidden_states=tuple(states) if want_states else None,
            attentions=tuple(attentions) if want_attentions else None,
        )
        return output if return_dict is not False else output.to_tuple()


class MutBertTransform(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.act = ACTIVATIONS[config.hidden_act]

    def forward(self, x):
        return self.LayerNorm(self.act(self.dense(x)))


class MutBertPredictions(nn.Module):
    """transform(x) E^T + bias, with E the token embedding."""

    def __init__(self, config):
        super().__init__()
        self.transform = MutBertTransform(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, x, embedding):
        return F.linear(self.transform(x), embedding, self.bias)


class MutBertHead(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.predictions = MutBertPredictions(config)


class MutBertForMaskedLM(MutBertPreTrainedModel):
    """Encoder and output head over all tokens."""

    _keys_to_ignore_on_load_unexpected = (r"cls\.predictions\.decoder\..*",)  # second copies in the published file

    def __init__(self, config):
        super().__init__(config)
        self.bert = MutBertModel(config, add_pooling_layer=False)
        self.cls = MutBertHead(config)
        self.post_init()

    def forward(
        self, input_ids=None, attention_mask=None, labels=None, masked_indices=None, return_dict=None, **options
    ):
        """labels: rows of probabilities [B, T, 9], scored at masked_indices (bool [B, T]; everywhere by default), or
        token ids [B, T] with -100 where nothing is predicted."""
        output = self.bert(input_ids, attention_mask, **options)
        logits = self.cls.predictions(output.last_hidden_state, self.get_input_embeddings().weight)
        loss = None
        if labels is not None and labels.is_floating_point():
            chosen = slice(None) if masked_indices is None else masked_indices.to(torch.bool)
            loss = -(labels[chosen] * logits[chosen].float().log_softmax(dim=-1)).sum(dim=-1).mean()
        elif labels is not None:
            loss = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100)
        result = MaskedLMOutput(
            loss=loss, logits=logits, hidden_states=output.hidden_states, attentions=output.attentions
        )
        return result if return_dict is not False else result.to_tuple()


class MutBertForSequenceClassification(MutBertPreTrainedModel):
    """A linear classifier on the pooled sequence. labels: floats for one label (mean squared error), class numbers, or
    floats [B, num_labels] for several labels at once (binary cross-entropy)."""

    _keys_to_ignore_on_load_unexpected = (r"cls\..*",)

    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        rate = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.bert = MutBertModel(config)
        self.dropout = nn.Dropout(rate)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, labels=None, return_dict=None, **options):
        output = self.bert(input_ids, attention_mask, **options)
        logits = self.classifier(self.dropout(output.pooler_output))
        loss = None
        if labels is not None and self.num_labels == 1:
            loss = F.mse_loss(logits.flatten(), labels.flatten().to(logits.dtype))
        elif labels is not None and labels.is_floating_point():
            loss = F.binary_cross_entropy_with_logits(logits, labels)
        elif labels is not None:
            loss = F.cross_entropy(logits, labels)
        result = SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=output.hidden_states, attentions=output.attentions
        )
        return result if return_dict is not False else result.to_tuple()
