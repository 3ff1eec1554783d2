"""The prediction of a model for one photo, from which every kind of result is made."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .views import ViewGeometry


@dataclass(frozen=True)
class Predicted:
    """The final head for T views of a photo.

    Attributes:
        embeddings: (Q, C), mask embeddings.
        features: (T, C, h, w), mask features over the padded input of the model.
        probabilities: (Q, K + 1) float32, the last column is "no object".
        geometry: the T views.
    """

    embeddings: Tensor
    features: Tensor
    probabilities: Tensor
    geometry: ViewGeometry

    @property
    def class_scores(self) -> Tensor:
        """(Q, K) float32."""
        return self.probabilities[:, :-1]

    def masks(self) -> Tensor:
        """Mask logits (Q, T, h, w)."""
        return torch.einsum("qc,tchw->qthw", self.embeddings, self.features)

    def select(self, queries: Tensor) -> Predicted:
        """Only the queries with these indices."""
        return Predicted(self.embeddings[queries], self.features, self.probabilities[queries], self.geometry)

    def of_views(self, views: list[int]) -> Predicted:
        """Only the masks in the views with these indices."""
        return Predicted(self.embeddings, self.features[views], self.probabilities, self.geometry.select(views))

    def to(self, device: torch.device | str) -> Predicted:
        """The same on another device."""
        return Predicted(
            self.embeddings.to(device), self.features.to(device), self.probabilities.to(device), self.geometry
        )

    def best(self, keep: int | None) -> Predicted:
        """The `keep` queries with the highest score of any class, in their own order; None keeps all."""
        count = len(self.probabilities)
        if keep is None or keep >= count:
            return self
        return self.select(self.class_scores.max(dim=1).values.topk(keep).indices.sort().values)
