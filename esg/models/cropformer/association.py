"""View association (CropFormer Sec. 4, Eq. 4): matches queries for the same entity in different views."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn

from ..layers.mask_decoder import DecoderLayer

PARTS = {
    "cross": ("cross_attention", "cross_norm"),
    "self": ("self_attention", "self_norm"),
    "ffn": ("linear1", "linear2", "ffn_norm"),
}
"""The parts that can be left out (Table 9c: XAtt, SAtt, FFN), and the modules that each of them consists of."""


class ViewAssociation(DecoderLayer):
    """One post-norm layer: the full view's embeddings attend to those of all views, then to one another.

    Args:
        width: channels of the embeddings.
        heads: attention heads.
        ffn: hidden channels of the FFN.
        parts: names in `PARTS`; those that are missing are left out, and their weights with them.
    """

    def __init__(self, width: int, heads: int, ffn: int, parts: Collection[str] = tuple(PARTS)) -> None:
        super().__init__(width, heads, ffn)
        self.parts = frozenset(parts)
        for part, modules in PARTS.items():
            if part not in self.parts:
                for module in modules:
                    delattr(self, module)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def associate(self, embeddings: Tensor, positions: Tensor) -> Tensor:
        """Computes the batch queries Q_b.

        Args:
            embeddings: (B, T, Q, C), image-level embeddings E_i, the full view first.
            positions: (B, T, Q, C), positions of the queries.

        Returns:
            (B, Q, C).
        """
        full = embeddings[:, 0]
        if "cross" in self.parts:
            values = embeddings.transpose(1, 2).flatten(1, 2)  # (B, Q·T, C), query-major
            keys = (embeddings + positions).transpose(1, 2).flatten(1, 2)
            full = self.cross_norm(full + self.cross_attention(full + positions[:, 0], keys, values))
        if "self" in self.parts:
            full = self.attend_to_each_other(full, 0.0)
        return self.feed_forward(full) if "ffn" in self.parts else full
