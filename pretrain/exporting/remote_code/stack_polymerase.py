"""What exported models without a full attention matrix share: a stack of layers, its masks, causal convolutions.

Part of an exported model folder: depends on torch and transformers only. Padding may stand on either side: it is taken
out in front of every convolution, so a sequence gives the same beside longer ones. Values that training did not learn
(positions, windows, rotary angles) are computed in the forward pass, in float32.
"""

import torch
import torch.nn.functional as F
from torch import nn

try:  # transformers 5: leaves alone what was loaded
    from transformers import initialization
except ImportError:  # transformers 4 asks for the first weights of new modules only
    from torch.nn import init as initialization

from .heads_polymerase import POOLERS, EncoderOutput, LanguageModelHead, wanted

init = initialization


def mask_rows(x, real):
    """[B, T, ...] with zeros where ``real`` (bool [B, T]) is False."""
    return x.masked_fill(~real.view(*real.shape, *(1,) * (x.dim() - 2)), 0.0)


class TokenEmbeddings(nn.Module):
    """One trained row per token id, or their mixture by rows of probabilities [B, T, V]."""

    def __init__(self, config):
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)

    def forward(self, input_ids):
        if input_ids.dim() == 3:
            return input_ids.to(self.word.weight.dtype) @ self.word.weight
        return self.word(input_ids)


class OneHotEmbeddings(nn.Module):
    """The rows of probabilities themselves (a one at each id), zeros up to the hidden size. Nothing is trained."""

    def __init__(self, config):
        super().__init__()
        self.config = config

    def forward(self, input_ids):
        config = self.config
        rows = input_ids if input_ids.dim() == 3 else F.one_hot(input_ids, config.vocab_size)
        return F.pad(rows.float(), (0, config.hidden_size - config.vocab_size))


class ShortConvolution(nn.Conv1d):
    """A causal convolution of each channel over a few tokens: [B, T, C] -> [B, C, T]."""

    def __init__(self, channels, kernel_size):
        super().__init__(channels, channels, kernel_size, groups=channels, padding=kernel_size - 1)

    def forward(self, x):
        return super().forward(x.transpose(1, 2))[..., : x.shape[1]]


def long_convolution(x, kernel, skip):
    """Return the sum over j <= t of kernel[j] x[t - j], plus skip x[t]: [B, D, T], [D, T], [D] -> float32 [B, D, T]."""
    size = 2 * x.shape[-1]
    x = x.float()
    y = torch.fft.irfft(torch.fft.rfft(x, n=size) * torch.fft.rfft(kernel, n=size), n=size)
    return y[..., : x.shape[-1]] + skip.float()[:, None] * x


class StackModel:
    """Mixin of the encoders: embedding, layers, final norm, pooler.

    A class names its parts in ``build_parts`` and the input of all layers in ``shared_inputs``.
    """

    _keys_to_ignore_on_load_unexpected = [r"mlm_head\..*"]  # noqa: RUF012

    def __init__(self, config, add_pooling_layer=True):
        super().__init__(config)
        self.gradient_checkpointing = False
        self.build_parts(config)
        self.pooler = POOLERS[config.pooler_type](config) if config.pooler_type and add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self):
        return getattr(self.embeddings, "word", None)

    def set_input_embeddings(self, value):
        self.embeddings.word = value

    def real_tokens(self, input_ids, attention_mask, inputs_embeds=None):
        """Which tokens are not padding, bool [B, T]. Without a mask all but <pad>."""
        if attention_mask is not None:
            return attention_mask.to(torch.bool)
        if input_ids is not None and input_ids.dim() == 2:
            return input_ids != self.config.pad_token_id
        given = input_ids if inputs_embeds is None else inputs_embeds
        return torch.ones(given.shape[:2], dtype=torch.bool, device=given.device)

    def shared_inputs(self, real, position_ids):
        """What every layer is given besides its input."""
        return (real,)

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

        input_ids: token ids [B, T], or rows of probabilities over the vocabulary [B, T, V]. attention_mask: [B, T], 1
        for tokens, padded on either side; by default everything but <pad>. inputs_embeds: [B, T, D] instead of ids.
        token_type_ids are accepted and not read; there are no attentions to return.
        """
        config = self.config
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        if output_attentions:
            raise ValueError(f"a model of type {config.model_type} returns no attentions")
        real = self.real_tokens(input_ids, attention_mask, inputs_embeds)
        x = self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        shared, states = self.shared_inputs(real, position_ids), [self.first_state(mask_rows(x, real))]
        if self.gradient_checkpointing and self.training and not states[0].requires_grad:
            states = [states[0].detach().requires_grad_()]  # or reentrant checkpoints drop the first layer's gradient
        for layer in self.layers:
            call = layer
            if self.gradient_checkpointing and self.training:
                call = lambda *inputs, layer=layer: self._gradient_checkpointing_func(layer.__call__, *inputs)  # noqa: E731
            states.append(call(states[-1], *shared))
        states[-1] = x = self.last_state(states[-1])
        output = EncoderOutput(
            last_hidden_state=x,
            pooler_output=self.pooler(x, real) if self.pooler is not None else None,
            hidden_states=tuple(states) if wanted(config, output_hidden_states, "output_hidden_states") else None,
        )
        return output if wanted(config, return_dict, "return_dict") is not False else output.to_tuple()

    def first_state(self, x):
        """What the first layer reads of the embedding."""
        return x

    def last_state(self, x):
        """What the head reads of the last layer."""
        return self.final_norm(x)


class StackLanguageModel(LanguageModelHead):
    """Mixin of the classes with an output head.

    labels: [B, T] with -100 where nothing is predicted, or rows of probabilities [B, T, V] scored at masked_indices
    (bool [B, T]; everywhere by default). Causal classes predict each label from the token before, and ``generate``
    reads the whole sequence again for each new token.
    """

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        inputs_embeds=None,
        labels=None,
        num_items_in_batch=None,
        masked_indices=None,
        output_hidden_states=None,
        output_attentions=None,
        return_dict=None,
    ):
        encoded = self.encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        return self.predict(encoded, labels, masked_indices, num_items_in_batch, return_dict)

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **kwargs):
        return {"input_ids": input_ids, "attention_mask": attention_mask}
