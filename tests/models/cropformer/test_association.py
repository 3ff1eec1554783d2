"""View association: the queries that a query of the full view attends to, and what it takes from them."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

from esg.models.cropformer.association import PARTS, ViewAssociation
from esg.models.cropformer.config import CropFormerConfig
from esg.models.layers.swin import SwinConfig
from esg.support.errors import InputError

PICTURES, VIEWS, QUERIES, WIDTH = 2, 3, 4, 8


@pytest.fixture
def association() -> ViewAssociation:
    """With random weights; positions are drawn after it, from the same seed."""
    torch.manual_seed(0)
    return ViewAssociation(WIDTH, heads=2, ffn=16).double().requires_grad_(False)


@pytest.fixture
def bare() -> ViewAssociation:
    """One head that compares content as it is and passes it on as it is; nothing but norms comes after it."""
    layer = ViewAssociation(WIDTH, heads=1, ffn=16).double().requires_grad_(False)
    for linear in (layer.self_attention.out_proj, layer.linear2):
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
    layer.cross_attention.in_proj_weight.copy_(torch.eye(WIDTH).repeat(3, 1))
    layer.cross_attention.out_proj.weight.copy_(torch.eye(WIDTH))
    return layer


def drawn() -> tuple[Tensor, Tensor]:
    """Embeddings and positions, (B, T, Q, C)."""
    shape = (PICTURES, VIEWS, QUERIES, WIDTH)
    return torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)


def normed(x: Tensor) -> Tensor:
    for _ in range(3):
        x = nn.functional.layer_norm(x, (WIDTH,))
    return x


def test_where_all_look_alike_a_query_takes_the_mean_of_all_queries_of_all_views(bare: ViewAssociation) -> None:
    bare.cross_attention.in_proj_weight[: 2 * WIDTH] = 0
    embeddings, positions = drawn()
    expected = normed(embeddings[:, 0] + embeddings.mean((1, 2))[:, None])  # content alone, no position
    torch.testing.assert_close(bare.associate(embeddings, positions), expected)


def test_a_query_finds_itself_in_the_crops_by_its_position(bare: ViewAssociation) -> None:
    embeddings, _ = drawn()
    positions = 100 * torch.eye(QUERIES, WIDTH, dtype=torch.float64).expand(PICTURES, VIEWS, -1, -1)
    bare.cross_attention.in_proj_weight[:WIDTH, QUERIES:] = 0  # only the channels that hold positions are compared
    embeddings[..., :QUERIES] = 0
    expected = normed(embeddings[:, 0] + embeddings.mean(1))  # of the same query in every view, in equal parts
    torch.testing.assert_close(bare.associate(embeddings, positions), expected)


def test_among_themselves_queries_go_by_content_alone(association: ViewAssociation) -> None:
    nn.init.zeros_(association.cross_attention.out_proj.weight)
    embeddings, positions = drawn()
    result = association.associate(embeddings, positions)
    torch.testing.assert_close(result, association.associate(embeddings, torch.zeros_like(positions)))
    mixed = embeddings.clone()
    mixed[:, 0, 1] *= -1  # the other queries notice
    assert (association.associate(mixed, positions) - result)[:, 0].abs().max() > 1e-3


def test_nothing_goes_from_one_picture_to_another(association: ViewAssociation) -> None:
    embeddings, positions = drawn()
    together = association.associate(embeddings, positions)
    assert together.shape == (PICTURES, QUERIES, WIDTH)
    for picture in range(PICTURES):
        part = slice(picture, picture + 1)
        torch.testing.assert_close(together[part], association.associate(embeddings[part], positions[part]))


def test_crops_are_a_set_and_the_full_view_is_not_one_of_them(association: ViewAssociation) -> None:
    embeddings, positions = drawn()
    result = association.associate(embeddings, positions)
    turned = association.associate(embeddings[:, [0, 2, 1]], positions[:, [0, 2, 1]])
    torch.testing.assert_close(turned, result)
    another = association.associate(embeddings[:, [1, 0, 2]], positions[:, [1, 0, 2]])
    assert (another - result).abs().max() > 0.1


def test_queries_in_another_order_come_out_in_that_order(association: ViewAssociation) -> None:
    embeddings, positions = drawn()
    order = torch.tensor([2, 0, 3, 1])
    result = association.associate(embeddings[:, :, order], positions[:, :, order])
    torch.testing.assert_close(result, association.associate(embeddings, positions)[:, order])


def test_every_view_has_a_say(association: ViewAssociation) -> None:
    embeddings, positions = drawn()
    result = association.associate(embeddings, positions)
    for view in range(VIEWS):
        changed = embeddings.clone()
        changed[:, view] += torch.randn(PICTURES, QUERIES, WIDTH, dtype=torch.float64)
        assert (association.associate(changed, positions) - result).abs().max() > 1e-3


@pytest.mark.parametrize("parts", [("cross",), ("cross", "ffn"), ("cross", "self"), ("self", "ffn"), tuple(PARTS)])
def test_parts_that_are_left_out_do_nothing_and_have_no_weights(parts: tuple[str, ...]) -> None:
    """A part of the full layer does nothing but normalise if its last linear layer is zero."""
    torch.manual_seed(0)
    full = ViewAssociation(WIDTH, heads=2, ffn=16).double().requires_grad_(False)
    last = {"cross": full.cross_attention.out_proj, "self": full.self_attention.out_proj, "ffn": full.linear2}
    for part in PARTS.keys() - set(parts):
        nn.init.zeros_(last[part].weight)
        nn.init.zeros_(last[part].bias)
    some = ViewAssociation(WIDTH, heads=2, ffn=16, parts=parts).double().requires_grad_(False)
    kept = {name for part in parts for name in PARTS[part]}
    state = {name: value for name, value in full.state_dict().items() if name.split(".")[0] in kept}
    some.load_state_dict(state)  # strictly: there are no other weights
    embeddings, positions = drawn()
    # Norms in a row without weights of their own are one norm, up to their epsilon.
    embeddings[:, 0] = nn.functional.layer_norm(embeddings[:, 0], (WIDTH,))
    expected = full.associate(embeddings, positions)
    torch.testing.assert_close(some.associate(embeddings, positions), expected, atol=1e-3, rtol=1e-3)


def test_configurations_with_parts_left_out() -> None:
    config = CropFormerConfig(SwinConfig(), association_parts=("cross",))
    assert CropFormerConfig.from_json(config.to_json()) == config
    older = json.loads(CropFormerConfig(SwinConfig()).to_json())
    del older["association_parts"]  # of a file written before there was a choice
    assert CropFormerConfig.from_json(json.dumps(older)).association_parts == tuple(PARTS)
    with pytest.raises(InputError, match=r"no part 'xatt' of the association; choose from cross, self, ffn\."):
        CropFormerConfig(SwinConfig(), association_parts=("xatt",))
    with pytest.raises(InputError, match="multiple of 32 and of its 8 heads, not 100"):
        CropFormerConfig(SwinConfig(), width=100)
