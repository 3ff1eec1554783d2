from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from esg.models.layers.mask_decoder import MaskDecoder, Prediction, Queries, _attention_mask, _shrink
from esg.support.errors import InputError


def test_masks_are_products_of_embeddings_and_features() -> None:
    prediction = Prediction(torch.zeros(1, 1, 2), torch.tensor([[[2.0, -1.0]]]))
    features = torch.tensor([[1.0, 0.0], [0.0, 3.0]]).view(1, 1, 2, 1, 2)  # channels (1, 0) and (0, 3)
    assert prediction.masks(features).flatten().tolist() == [2.0, -3.0]


def test_a_query_sees_its_own_mask_or_everything_where_that_is_empty() -> None:
    embeddings = torch.tensor([[[1.0], [-1.0]]])
    guide = torch.tensor([[[1.0, 2.0, 0.0]]])
    assert _attention_mask(embeddings, guide)[0, 0].tolist() == [[True, True, True], [False, False, True]]
    guide = torch.tensor([[[1.0, 2.0, 0.5]]])
    assert _attention_mask(embeddings, guide)[0, 0].tolist() == [[True, True, True], [True, True, True]]


def test_shrinking_features_gives_the_masks_of_shrunk_masks() -> None:
    torch.manual_seed(0)
    features, embeddings = torch.randn(1, 2, 8, 12, 20), torch.randn(1, 5, 8)
    masks = Prediction(embeddings, embeddings).masks(features)  # (1, 5, 2, 12, 20)
    small = F.interpolate(masks.flatten(0, 1), size=(3, 5), mode="bilinear", align_corners=False)
    torch.testing.assert_close(
        embeddings @ _shrink(features, torch.Size((3, 5))), small.view(1, 5, -1), atol=1e-5, rtol=0
    )


def test_there_is_a_prediction_before_and_after_every_layer() -> None:
    torch.manual_seed(0)
    decoder = MaskDecoder(32, heads=4, ffn=32, layers=4, queries=7, classes=3, levels=3)
    levels = [torch.randn(2, 1, 32, side, side) for side in (2, 4, 8)]
    features = torch.randn(2, 1, 32, 16, 16)
    queries, predictions = decoder(levels, features, decoder.begin(levels, features)[0])
    assert queries.shape == (2, 7, 32)
    assert [tuple(p.logits.shape) for p in predictions] == [(2, 7, 4)] * 5


def test_batch_level_tells_views_apart_and_image_level_has_only_one() -> None:
    torch.manual_seed(0)
    decoder = MaskDecoder(32, heads=4, ffn=32, layers=3, queries=5, classes=1, levels=3).eval()
    levels = [torch.randn(1, 2, 32, side, side) for side in (2, 4, 8)]
    features, start = torch.randn(1, 2, 32, 16, 16), Queries(torch.randn(1, 5, 32), torch.randn(1, 5, 32))
    queries, _ = decoder(levels, features, start, batch_level=True)
    swapped, _ = decoder([level.flip(1) for level in levels], features.flip(1), start, batch_level=True)
    assert (queries - swapped).abs().max() > 1e-4  # the index of a view matters


def test_chosen_queries_start_from_the_features_under_their_anchors() -> None:
    torch.manual_seed(0)
    decoder = MaskDecoder(32, heads=4, ffn=32, layers=3, queries=5, classes=1, levels=3, anchors=4).eval()
    levels = [torch.randn(2, 1, 32, side, side) for side in (1, 2, 4)]  # 4 × 4: an anchor at every pixel's centre
    queries, anchors = decoder.begin(levels, torch.randn(2, 1, 32, 8, 8))
    assert decoder.anchors is not None
    assert anchors is not None
    content = decoder.anchors.project(levels[-1][:, 0].flatten(2).mT)  # (2, 16, 32)
    torch.testing.assert_close(anchors.embeddings, decoder.head(content).embeddings)
    for picture in range(2):
        equal = (queries.content[picture, :, None] - content[picture]).abs().amax(-1) < 1e-5  # (5, 16)
        assert equal.sum(1).tolist() == [1] * 5
        assert equal.sum(0).max() == 1  # no anchor twice
        chosen = equal.float().argmax(1)
        torch.testing.assert_close(queries.positions[picture], decoder.query_positions[chosen])


def test_more_queries_than_anchors_are_refused() -> None:
    with pytest.raises(InputError, match="17 queries cannot be chosen from 4x4 anchors"):
        MaskDecoder(32, heads=4, ffn=32, layers=3, queries=17, classes=1, levels=3, anchors=4)


def test_learned_queries_are_the_same_for_every_picture() -> None:
    decoder = MaskDecoder(32, heads=4, ffn=32, layers=3, queries=5, classes=1, levels=3)
    queries, anchors = decoder.begin([torch.randn(2, 1, 32, 4, 4)] * 3, torch.randn(2, 1, 32, 8, 8))
    assert anchors is None
    assert torch.equal(queries.content, decoder.query_features.expand(2, -1, -1))
    assert torch.equal(queries.positions, decoder.query_positions.expand(2, -1, -1))
