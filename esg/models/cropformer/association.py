"""View association (CropFormer Sec. 4, Eq. 4): matches queries for the same entity in different views."""

from __future__ import annotations

from torch import Tensor

from ..layers.mask_decoder import DecoderLayer


class ViewAssociation(DecoderLayer):
    """One post-norm layer: the full view's embeddings attend to those of all views, then to one another."""

    def associate(self, embeddings: Tensor, positions: Tensor) -> Tensor:
        """Computes the batch queries Q_b.

        Args:
            embeddings: (B, T, Q, C), image-level embeddings E_i, the full view first.
            positions: (B, T, Q, C), positions of the queries.

        Returns:
            (B, Q, C).
        """
        values = embeddings.transpose(1, 2).flatten(1, 2)  # (B, Q·T, C), query-major
        keys = (embeddings + positions).transpose(1, 2).flatten(1, 2)
        full = embeddings[:, 0]
        full = self.cross_norm(full + self.cross_attention(full + positions[:, 0], keys, values))
        return self.refine(full, 0.0)
