"""Dilated convolutions over nucleotides: GPN's three published blocks.

Part of an exported model folder: depends on torch and transformers only. Layout of the weights (``i`` counts layers
from 0; biases where ``bias`` is on):

    encoder.embeddings.word.weight [V, D] with a learned embedding; encoder.final_norm.weight
    post_norm: encoder.layers.i.{conv [D, D, K], conv_norm, mlp [D, D], mlp_norm}.weight
    pre_norm:  encoder.layers.i.{conv_norm, conv [D, D, K], conv_output [D, D], mlp_norm}.weight
               encoder.layers.i.mlp.{up [F, D], down [D, F]}.weight
    bytenet:   encoder.layers.i.{norm, down [F, D], conv_norm, conv [F, F, K], output_norm, up [D, F]}.weight
    mlm_head.dense.weight, mlm_head.norm.weight, mlm_head.decoder.{weight [V, D], bias}
"""

import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel

from .configuration_polymerase_convnet import PolymeraseConvNetConfig
from .heads_polymerase import SequenceClassifier, TokenClassifier
from .stack_polymerase import OneHotEmbeddings, StackLanguageModel, StackModel, TokenEmbeddings, init, mask_rows


class DilatedConv(nn.Conv1d):
    """A convolution over tokens [B, T, C] -> [B, T, C]; zeros beyond both ends of a sequence, padding included."""

    def __init__(self, width, config, layer):
        kernel = config.first_kernel_size if layer == 0 else config.kernel_size
        dilation = min(config.dilation_max, config.dilation_base ** (layer % config.dilation_cycle))
        padding = dilation * (kernel - 1) // 2
        super().__init__(width, width, kernel, padding=padding, dilation=dilation, bias=config.bias)

    def forward(self, x, real):
        return super().forward(mask_rows(x, real).transpose(1, 2)).transpose(1, 2)


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def norm_of(self, width):
        return nn.LayerNorm(width, eps=self.config.layer_norm_eps, bias=self.config.bias)

    def linear_of(self, inputs, outputs):
        return nn.Linear(inputs, outputs, bias=self.config.bias)


class PostNormBlock(Block):
    """x += LN(GELU(conv(x))); x += LN(GELU(W x))."""

    def __init__(self, config, layer):
        super().__init__(config)
        width = config.hidden_size
        self.conv = DilatedConv(width, config, layer)
        self.conv_norm = self.norm_of(width)
        self.mlp = self.linear_of(width, width)
        self.mlp_norm = self.norm_of(width)

    def forward(self, x, real):
        x = x + self.dropout(self.conv_norm(F.gelu(self.conv(x, real))))
        return x + self.dropout(self.mlp_norm(F.gelu(self.mlp(x))))


class PreNormBlock(Block):
    """x += W GELU(conv(LN x)); x += down GELU(up(LN x))."""

    def __init__(self, config, layer):
        super().__init__(config)
        width, inner = config.hidden_size, config.intermediate_size
        self.conv_norm = self.norm_of(width)
        self.conv = DilatedConv(width, config, layer)
        self.conv_output = self.linear_of(width, width)
        self.mlp_norm = self.norm_of(width)
        self.mlp = nn.ModuleDict({"up": self.linear_of(width, inner), "down": self.linear_of(inner, width)})

    def forward(self, x, real):
        x = x + self.dropout(self.conv_output(F.gelu(self.conv(self.conv_norm(x), real))))
        return x + self.dropout(self.mlp["down"](F.gelu(self.mlp["up"](self.mlp_norm(x)))))


class ByteNetBlock(Block):
    """x += up GELU(LN(conv(GELU(LN(down GELU(LN x))))))."""

    def __init__(self, config, layer):
        super().__init__(config)
        width, inner = config.hidden_size, config.intermediate_size
        self.norm = self.norm_of(width)
        self.down = self.linear_of(width, inner)
        self.conv_norm = self.norm_of(inner)
        self.conv = DilatedConv(inner, config, layer)
        self.output_norm = self.norm_of(inner)
        self.up = self.linear_of(inner, width)

    def forward(self, x, real):
        y = self.conv(F.gelu(self.conv_norm(self.down(F.gelu(self.norm(x))))), real)
        return x + self.dropout(self.up(F.gelu(self.output_norm(y))))


BLOCKS = {"post_norm": PostNormBlock, "pre_norm": PreNormBlock, "bytenet": ByteNetBlock}


class PolymeraseConvNetPreTrainedModel(PreTrainedModel):
    config_class = PolymeraseConvNetConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    _no_split_modules = ["PostNormBlock", "PreNormBlock", "ByteNetBlock"]  # noqa: RUF012

    def _init_weights(self, module):
        """Convolutions start as torch draws them, uniform within 1/sqrt(fan in)."""
        if isinstance(module, nn.Conv1d):
            bound = module.weight[0].numel() ** -0.5
            for parameter in module.parameters():
                init.uniform_(parameter, -bound, bound)
        else:
            super()._init_weights(module)


class PolymeraseConvNetModel(StackModel, PolymeraseConvNetPreTrainedModel):
    """The encoder."""

    def build_parts(self, config):
        self.embeddings = (TokenEmbeddings if config.embedding == "learned" else OneHotEmbeddings)(config)
        block = BLOCKS[config.block]
        self.layers = nn.ModuleList(block(config, layer) for layer in range(config.num_hidden_layers))
        if config.final_norm:
            self.final_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps, bias=config.bias)

    def first_state(self, x):
        return x.to(self.layers[0].conv.weight.dtype)

    def last_state(self, x):
        return self.final_norm(x) if self.config.final_norm else x


class PolymeraseConvNetForMaskedLM(StackLanguageModel, PolymeraseConvNetPreTrainedModel):
    """Encoder and output head."""

    encoder_class = PolymeraseConvNetModel


class PolymeraseConvNetForSequenceClassification(SequenceClassifier, PolymeraseConvNetPreTrainedModel):
    """A linear classifier on the pooled sequence."""

    encoder_class = PolymeraseConvNetModel


class PolymeraseConvNetForTokenClassification(TokenClassifier, PolymeraseConvNetPreTrainedModel):
    """A linear classifier on every token."""

    encoder_class = PolymeraseConvNetModel
