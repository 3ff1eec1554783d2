"""Layouts: they depend only on seed, aspect ratio and configuration."""

from __future__ import annotations

from esg.data.scenes.layout import SceneConfig
from esg.data.scenes.planner import plan


def test_layout_does_not_depend_on_anything_but_seed_and_aspect() -> None:
    first, again = plan(5, 1.5, SceneConfig()), plan(5, 1.5, SceneConfig())
    assert [layer.material for layer in first.layers] == [layer.material for layer in again.layers]
    assert first.layers[0].name in ("sky", "wall", "area", "backdrop")


def test_shares_of_the_mixture_are_kept() -> None:
    """Shares of nought are never drawn, and stuff lies behind things."""
    config = SceneConfig(nested=0.0, textured=0.0, blurred=0.0, noise=0.0, things=(3, 5))
    for seed in range(20):
        layout = plan(seed, 1.5, config)
        things = [layer for layer in layout.layers if layer.kind == "thing"]
        assert layout.layers[-len(things) :] == tuple(things)
        assert {layer.material.texture for layer in things} == {"plain"}
        assert {layer.parent for layer in things} == {-1}
        assert layout.defocus == layout.noise == 0
        assert 3 <= len(things) <= 5
