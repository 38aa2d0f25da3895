"""A transformer for nucleotide sequences with a switch for every published choice.

Part of an exported model folder: depends on torch and transformers only. Layout of the weights (``i`` counts layers
from 0; what a switch turns off is absent):

    encoder.embeddings.{word [V, D], position [P, D], segment}.weight, encoder.embeddings.norm.{weight,bias}
    encoder.pairing.hidden.{weight [6, 1],bias}, encoder.pairing.output.{weight [H, 6],bias}
    encoder.layers.i.attention.{query,key,value,output}.{weight,bias}, encoder.layers.i.attention_norm.{weight,bias}
    encoder.layers.i.mlp.{up,gate [F, D],down [D, F]}.{weight,bias}, encoder.layers.i.mlp.beta
    encoder.layers.i.mlp_norm.{weight,bias}, encoder.final_norm.{weight,bias}, encoder.pooler.dense.{weight,bias}
    mlm_head.dense.{weight,bias}, mlm_head.norm.{weight,bias}, mlm_head.decoder.{weight [V, D], bias}
"""

import torch
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.utils import logging

from .configuration_polymerase import PolymeraseConfig
from .heads_polymerase import POOLERS, EncoderOutput, LanguageModelHead, SequenceClassifier, TokenClassifier, wanted
from .layers_polymerase import (
    Embeddings,
    Pairing,
    TransformerLayer,
    alibi_slopes,
    norm_of,
    rotary_angles,
    scaling_of,
)

logger = logging.get_logger(__name__)


class PolymerasePreTrainedModel(PreTrainedModel):
    config_class = PolymeraseConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    _no_split_modules = ["TransformerLayer"]  # noqa: RUF012
    _supports_sdpa = True

    def _check_and_adjust_attn_implementation(self, attn_implementation, *args, **kwargs):
        if attn_implementation is not None and "flash" in attn_implementation:
            logger.warning_once(f"{attn_implementation} becomes sdpa, which takes torch's flash kernel where it can")
            attn_implementation = "sdpa"
        return super()._check_and_adjust_attn_implementation(attn_implementation, *args, **kwargs)


class PolymeraseModel(PolymerasePreTrainedModel):
    """The encoder, with a pooler where ``pooler_type`` names one."""

    _keys_to_ignore_on_load_unexpected = [r"mlm_head\..*"]  # noqa: RUF012

    def __init__(self, config, add_pooling_layer=True):
        super().__init__(config)
        scaling_of(config)  # refuses what it does not know
        self.gradient_checkpointing = False
        self.embeddings = Embeddings(config)
        if config.pairing_bias:
            self.pairing = Pairing(config)
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_hidden_layers))
        if config.final_norm:
            self.final_norm = norm_of(config)
        self.pooler = POOLERS[config.pooler_type](config) if config.pooler_type and add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self):
        return self.embeddings.word

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

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        inputs_embeds=None,
        selected_positions=None,
        pair=None,
        output_hidden_states=None,
        output_attentions=None,
        output_scores=False,
        return_dict=None,
    ):
        """Encode a batch.

        input_ids: token ids [B, T], or rows of probabilities over the vocabulary [B, T, V]; one-hot rows give what
        their ids give. attention_mask: [B, T], 1 for tokens, padded on either side; by default everything but <pad>.
        inputs_embeds: [B, T, D] instead of the looked-up rows; ids beside them tell pairs, masks and padding.
        selected_positions (pairing models): bool [B, T], the positions chosen for prediction in masked language
        modeling (masked, replaced and left unchanged alike). Pretraining marks their pairs with -1; without this
        argument <mask> merely pairs with nothing, which pretraining never showed. Pass it to train or to measure a
        loss.
        pair (pairing models): float [B, T, T], pairing values to use instead of those of the sequence.
        output_scores (pairing models): also return the attention scores before the softmax, see EncoderOutput.
        """
        config = self.config
        if input_ids is None and inputs_embeds is None:
            raise ValueError("give input_ids or inputs_embeds")
        if input_ids is not None and input_ids.dim() not in (2, 3):
            raise ValueError(f"input_ids should be ids [B, T] or rows [B, T, {config.vocab_size}]")
        if not config.pairing_bias and (pair is not None or selected_positions is not None or output_scores):
            raise ValueError(
                "selected_positions, pair and output_scores are for models with a pairing bias; this has none"
            )
        real = self.real_tokens(input_ids, attention_mask, inputs_embeds)
        rows = config.max_position_embeddings - config.position_offset
        if config.position_embedding_type == "learned" and real.shape[1] > rows:
            raise ValueError(f"an input of {real.shape[1]} tokens; this model has positions for {rows}")
        positions = (real.long().cumsum(dim=1) - 1).clamp(min=0) if position_ids is None else position_ids
        x = self.embeddings(input_ids, inputs_embeds, token_type_ids, positions, real)
        angles = rotary_angles(positions, config) if config.position_embedding_type == "rotary" else None
        bias, first = self._attention_bias(input_ids, real, positions, selected_positions, pair)
        want_attentions = wanted(config, output_attentions, "output_attentions")
        states, attentions, scores = [x], [], [first]
        for number, layer in enumerate(self.layers, start=1):
            hand_on = config.pairing_bias and (output_scores or number < len(self.layers))
            call = layer
            if self.gradient_checkpointing and self.training:
                call = lambda *inputs, layer=layer: self._gradient_checkpointing_func(layer.__call__, *inputs)  # noqa: E731
            x, found, probabilities = call(x, angles, bias, hand_on, want_attentions)
            if config.pairing_bias:
                bias = found
                scores.append(found)
            states.append(x)
            attentions.append(probabilities)
        if config.final_norm:
            x = states[-1] = self.final_norm(x)
        output = EncoderOutput(
            last_hidden_state=x,
            pooler_output=self.pooler(x, real) if self.pooler is not None else None,
            hidden_states=tuple(states) if wanted(config, output_hidden_states, "output_hidden_states") else None,
            attentions=tuple(attentions) if want_attentions else None,
            scores=tuple(scores) if output_scores else None,
        )
        return output if wanted(config, return_dict, "return_dict") is not False else output.to_tuple()

    def _attention_bias(self, input_ids, real, positions, selected, pair):
        """What every layer adds or masks, and the pairing bias before padding is masked (None without pairing)."""
        config, seen = self.config, real[:, None, None, :]
        if config.causal:
            place = torch.arange(real.shape[1], device=real.device)
            before, itself = place <= place[:, None], place == place[:, None]
            seen = (seen & before) | itself  # itself: rows of padding on the left would see nothing
        if config.position_embedding_type == "alibi":
            slopes = torch.tensor(alibi_slopes(config.num_attention_heads), device=real.device)
            distance = (positions[:, :, None] - positions[:, None, :]).abs().float()
            return (-slopes[:, None, None] * distance[:, None]).masked_fill(~seen, float("-inf")), None
        if config.pairing_bias:
            if pair is None and (input_ids is None or input_ids.dim() != 2):
                raise ValueError("base pairs are read from input_ids [B, T]; give them or `pair` beside inputs_embeds")
            first = self.pairing(self.pairing.values(input_ids, real, selected) if pair is None else pair)
            return first.masked_fill(~seen, float("-inf")), first
        return seen, None


class PolymeraseForMaskedLM(LanguageModelHead, PolymerasePreTrainedModel):
    """Encoder and output head.

    labels: [B, T] with -100 where nothing is predicted, or rows of probabilities [B, T, V] scored at masked_indices
    (bool [B, T]; everywhere by default). The rest as in PolymeraseModel.
    """

    encoder_class = PolymeraseModel

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
        selected_positions=None,
        pair=None,
        output_hidden_states=None,
        output_attentions=None,
        output_scores=False,
        return_dict=None,
    ):
        encoded = self.encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            selected_positions=selected_positions,
            pair=pair,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            output_scores=output_scores,
            return_dict=True,
        )
        return self.predict(encoded, labels, masked_indices, num_items_in_batch, return_dict)


class PolymeraseForCausalLM(LanguageModelHead, PolymerasePreTrainedModel, GenerationMixin):
    """Encoder with causal attention and output head.

    labels: [B, T], usually the ids themselves, -100 where nothing is predicted; the token before predicts. ``generate``
    reads the whole sequence again for each new token.
    """

    encoder_class = PolymeraseModel
    labels_shift = 1

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
    ):
        encoded = self.encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        return self.predict(encoded, labels, None, num_items_in_batch, return_dict)

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **kwargs):
        return {"input_ids": input_ids, "attention_mask": attention_mask}


class PolymeraseForSequenceClassification(SequenceClassifier, PolymerasePreTrainedModel):
    """A linear classifier on the pooled sequence."""

    encoder_class = PolymeraseModel


class PolymeraseForTokenClassification(TokenClassifier, PolymerasePreTrainedModel):
    """A linear classifier on every token."""

    encoder_class = PolymeraseModel
