"""What every exported architecture has in common: outputs, losses, pooling, and the classes with a head.

Part of an exported model folder: depends on torch and transformers only. The classes here are mixins: an architecture
names its encoder (``encoder_class``) and combines each with its own ``PreTrainedModel``. Losses are means over the
counted labels, or their sum divided by ``num_items_in_batch`` where ``Trainer`` says how many labels all the batches
of one update have; so gradient accumulation gives the loss and gradient of one large batch.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers.utils import ModelOutput

ACTIVATIONS = {"gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "relu": F.relu}
NORMS = {"layer": nn.LayerNorm, "rms": nn.RMSNorm}


class Float32Linear(nn.Linear):
    """A Linear that computes in float32, whatever its weights and the autocast around it are."""

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.float(), self.weight.float(), None if self.bias is None else self.bias.float())


@dataclass
class EncoderOutput(ModelOutput):
    """Output of the encoder.

    hidden_states: L+1 tensors [B, T, D]. pooler_output: [B, D], if the model has a pooler. scores: pairing models
    only, L+1 tensors [B, H, T, T]: the pairing bias, then the attention scores of each layer before the softmax (minus
    infinity where the key is padding).
    """

    last_hidden_state: torch.FloatTensor | None = None
    pooler_output: torch.FloatTensor | None = None
    hidden_states: tuple | None = None
    attentions: tuple | None = None
    scores: tuple | None = None


@dataclass
class HeadOutput(ModelOutput):
    """logits: [B, T, V] of an output head, [B, T, num_labels] or [B, num_labels] of a classifier."""

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    hidden_states: tuple | None = None
    attentions: tuple | None = None
    scores: tuple | None = None


def average(losses, count, num_items_in_batch):
    """Sum of losses over ``count`` labels (at least one), or over those of all batches of this update."""
    if num_items_in_batch is None:
        count = torch.as_tensor(count, device=losses.device).clamp(min=1)
    elif isinstance(num_items_in_batch, torch.Tensor):
        count = num_items_in_batch.to(losses.device)
    else:
        count = num_items_in_batch
    return losses.sum() / count


def token_loss(logits, labels, num_items_in_batch=None):
    """Cross-entropy of class numbers, float32; labels of -100 do not count. logits [..., C], labels [...]."""
    losses = F.cross_entropy(logits.float().flatten(0, -2), labels.flatten(), ignore_index=-100, reduction="none")
    return average(losses, (labels != -100).sum(), num_items_in_batch)


def soft_loss(logits, rows, selected, num_items_in_batch=None):
    """Cross-entropy against rows of probabilities [B, T, V] at ``selected`` (bool [B, T]; everywhere by default)."""
    losses = -(rows * logits.float().log_softmax(dim=-1)).sum(dim=-1)
    selected = torch.ones_like(losses, dtype=torch.bool) if selected is None else selected.to(torch.bool)
    return average(losses * selected, selected.sum(), num_items_in_batch)


def sequence_loss(config, logits, labels, num_items_in_batch=None):
    """The loss that ``config.problem_type`` names, or that number and type of the labels suggest. logits [B, C]."""
    problem = config.problem_type
    if problem is None and config.num_labels == 1:
        problem = "regression"
    elif problem is None:
        problem = "multi_label_classification" if labels.is_floating_point() else "single_label_classification"
    if problem == "single_label_classification":
        if labels.is_floating_point():
            raise ValueError(f"{problem} needs class numbers (integers), got labels of {labels.dtype}")
        return token_loss(logits, labels, num_items_in_batch)
    if labels.numel() != logits.numel():
        raise ValueError(f"{problem} needs labels of shape {tuple(logits.shape)}, got {tuple(labels.shape)}")
    logits, labels = logits.float(), labels.reshape(logits.shape).float()
    loss = F.mse_loss if problem == "regression" else F.binary_cross_entropy_with_logits
    return average(loss(logits, labels, reduction="none"), labels.numel(), num_items_in_batch)


def first_token(x, real):
    """[B, T, D] at the first token that is not padding, whichever side is padded."""
    return x[torch.arange(len(x), device=x.device), real.to(torch.int64).argmax(dim=1)]


def last_token(x, real):
    """[B, T, D] at the last token that is not padding."""
    positions = torch.arange(x.shape[1], device=x.device)
    return x[torch.arange(len(x), device=x.device), (positions * real).argmax(dim=1)]


def mean_of_tokens(x, real):
    """Mean over the tokens that are not padding, special tokens included."""
    weights = real.to(x.dtype)[..., None]
    return (x * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


class MeanPooler(nn.Module):
    """Mean over real tokens. No parameters."""

    def __init__(self, config):
        super().__init__()

    def forward(self, x, real):
        return mean_of_tokens(x, real)


class FirstTokenPooler(nn.Module):
    """tanh(dense(first token)), as BERT has it."""

    def __init__(self, config):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x, real):
        return torch.tanh(self.dense(first_token(x, real)))


POOLERS = {"mean": MeanPooler, "first_token_transform": FirstTokenPooler}  # values of config.pooler_type besides None


class OutputHead(nn.Module):
    """decoder(norm(act(dense(x)))), or the decoder alone. The decoder's weight is the token embedding's where tied."""

    def __init__(self, config):
        super().__init__()
        self.has_transform = config.head_transform == "dense_norm"
        if self.has_transform:
            bias = {} if getattr(config, "head_transform_bias", True) else {"bias": False}
            self.dense = nn.Linear(config.hidden_size, config.hidden_size, **bias)
            self.norm = NORMS[config.norm](config.hidden_size, eps=config.layer_norm_eps, **bias)
            self.act = ACTIVATIONS[config.head_act]
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=config.head_bias)

    def forward(self, x):
        if self.has_transform:
            x = self.norm(self.act(self.dense(x)))
        return self.decoder(x)


class LanguageModelHead:
    """Mixin of classes with an output head over all tokens; ``labels_shift`` 1 for causal models."""

    _tied_weights_keys = {"mlm_head.decoder.weight": "encoder.embeddings.word.weight"}  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [r"encoder\.pooler\..*"]  # noqa: RUF012
    accepts_loss_kwargs = True  # for Trainer: num_items_in_batch is honored
    labels_shift = 0

    def __init__(self, config):
        super().__init__(config)
        self.encoder = self.encoder_class(config, add_pooling_layer=False)
        self.mlm_head = OutputHead(config)
        self.post_init()

    def get_output_embeddings(self):
        return self.mlm_head.decoder

    def set_output_embeddings(self, new_embeddings):
        self.mlm_head.decoder = new_embeddings

    def predict(self, encoded, labels, selected, num_items_in_batch, return_dict):
        """Logits, and the loss if there are labels.

        labels: [B, T] with -100 where nothing is predicted, or rows of probabilities [B, T, V] that count at
        ``selected``.
        """
        logits, loss = self.mlm_head(encoded.last_hidden_state), None
        if labels is not None and labels.is_floating_point():
            loss = soft_loss(logits, labels, selected, num_items_in_batch)
        elif labels is not None:
            shift = self.labels_shift
            loss = token_loss(logits[:, : logits.shape[1] - shift], labels[:, shift:], num_items_in_batch)
        return head_output(self.config, loss, logits, encoded, return_dict)


class Classifier:
    """Mixin of classes with a linear classifier; ``gather`` says what it reads, ``loss`` what it is measured by.

    ``problem_type`` of the config is honored: regression, single_label_classification, multi_label_classification.
    """

    _keys_to_ignore_on_load_unexpected = [r"mlm_head\..*", r"encoder\.pooler\..*"]  # noqa: RUF012
    accepts_loss_kwargs = True
    reads_pooler = False

    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        rate = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.encoder = self.encoder_class(config, add_pooling_layer=self.reads_pooler)
        self.dropout = nn.Dropout(rate)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        inputs_embeds=None,
        labels=None,
        num_items_in_batch=None,
        output_hidden_states=None,
        output_attentions=None,
        return_dict=None,
        **inputs,
    ):
        """Classify every sequence or every token.

        labels: of every sequence, or of every token with -100 where there is none. inputs: further inputs of the
        encoder, which refuses those it does not know.
        """
        encoded = self.encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
            **inputs,
        )
        real = self.encoder.real_tokens(input_ids, attention_mask, inputs_embeds)
        logits = self.classifier(self.dropout(self.gather(encoded, real)))
        loss = None if labels is None else self.loss(logits, labels, num_items_in_batch)
        return head_output(self.config, loss, logits, encoded, return_dict)


class SequenceClassifier(Classifier):
    """One prediction per sequence, from the pooler; without one from the first token, in causal models the last."""

    reads_pooler = True

    def gather(self, encoded, real):
        if encoded.pooler_output is not None:
            return encoded.pooler_output
        return (last_token if self.config.causal else first_token)(encoded.last_hidden_state, real)

    def loss(self, logits, labels, num_items_in_batch):
        return sequence_loss(self.config, logits, labels, num_items_in_batch)


class TokenClassifier(Classifier):
    """One prediction per token. labels: class numbers [B, T], -100 where there is none."""

    def gather(self, encoded, real):
        return encoded.last_hidden_state

    def loss(self, logits, labels, num_items_in_batch):
        return token_loss(logits, labels, num_items_in_batch)


def wanted(config, value, name):
    """An argument of a call, or the config's value where the call says nothing."""
    return getattr(config, name, None) if value is None else value


def head_output(config, loss, logits, encoded, return_dict):
    """HeadOutput, or a tuple where ``return_dict`` is False."""
    output = HeadOutput(
        loss=loss,
        logits=logits,
        hidden_states=encoded.hidden_states,
        attentions=encoded.attentions,
        scores=encoded.scores,
    )
    return output if wanted(config, return_dict, "return_dict") is not False else output.to_tuple()
