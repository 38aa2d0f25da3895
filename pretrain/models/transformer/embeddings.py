"""First hidden states of packed ids (and soft rows)."""

import torch
from torch import Tensor, nn

from pretrain.errors import PolymeraseError
from pretrain.models.batch import PackedBatch
from pretrain.models.dropout import dropout
from pretrain.models.layout import Layout
from pretrain.models.token_embedding import token_rows
from pretrain.models.transformer.norms import NORMS
from pretrain.models.transformer.positions import sinusoidal
from pretrain.models.transformer.settings import TransformerSettings

# ESM scales embeddings as if 15 % of the tokens were selected and 80 % of those shown as <mask>
ESM_MASK_RATIO = 0.15 * 0.8


class Embeddings(nn.Module):
    """Sum of word, position and segment rows; then token dropout, norm and dropout, each if the settings have it.

    Every table is read by calling its module, so that engines that gather parameters per module (ZeRO 3) see it.
    """

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.hidden_size
        # padding_idx stops only the gradient of looked-up pad ids (a random replacement may draw one), as in BERT
        self.word = nn.Embedding(settings.vocab_size, width, padding_idx=settings.pad_token_id)
        if settings.position_embedding_type == "learned":
            self.position = nn.Embedding(settings.max_position_embeddings, width)
        if settings.segment_rows:
            self.segment = nn.Embedding(settings.segment_rows, width)
        if settings.embedding_norm:
            self.norm = NORMS[settings.norm].alone(width, settings.layer_norm_eps)

    def forward(self, batch: PackedBatch) -> Tensor:
        """Embed a packed batch -> (N, D) in layout order."""
        settings, layout = self.settings, batch.layout
        ids = layout.to_layout_order(batch.input_ids)
        x = token_rows(batch, layout, self.word, settings.base_token_ids)
        if settings.token_dropout:
            x = self._drop_tokens(x, ids, layout)
        if settings.position_embedding_type == "learned":
            x = x + self.position(layout.to_layout_order(batch.position_ids) + self._checked_offset(layout))
        elif settings.position_embedding_type == "sinusoidal":
            positions = layout.to_layout_order(batch.position_ids)
            x = x + sinusoidal(positions, settings.hidden_size, settings.position_offset).to(x.dtype)
        if settings.segment_rows:
            x = x + self.segment(torch.zeros(1, dtype=torch.int64, device=x.device))
        if settings.embedding_norm:
            x = self.norm(x)
        return dropout(x, settings.hidden_dropout_prob, self.training)

    def _drop_tokens(self, x: Tensor, ids: Tensor, layout: Layout) -> Tensor:
        """Apply ESM's token dropout, in training and in evaluation alike: factor 0.88 / (1 - share of <mask>)."""
        is_mask = ids == self.settings.mask_token_id
        sequences = len(layout.cu_seqlens) - 1
        masks = torch.zeros(sequences, device=x.device).index_add(0, layout.sequence_of, is_mask.to(torch.float32))
        share = masks / layout.cu_seqlens.diff()
        factor = (1 - ESM_MASK_RATIO) / (1 - share)
        x = x.masked_fill(is_mask[:, None], 0.0)
        return (x * factor[layout.sequence_of][:, None]).to(x.dtype)

    def _checked_offset(self, layout: Layout) -> int:
        offset, rows = self.settings.position_offset, self.settings.max_position_embeddings
        if layout.longest + offset > rows:
            raise PolymeraseError(
                f"a sequence of {layout.longest} tokens does not fit the {rows - offset} learned positions "
                "(model.max_position_embeddings); crop it or use a longer table"
            )
        return offset
