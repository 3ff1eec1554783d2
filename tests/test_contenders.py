"""The sides of `python -m benchmarks.end_to_end`, each with a network that is small enough for tests."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from benchmarks import end_to_end
from benchmarks.gpu import TINY
from esg.models.cropformer import views
from esg.models.cropformer.config import PRESETS

resource = pytest.importorskip("resource", reason="peak memory of processes is Unix's")


def whole(figures: dict[str, float]) -> bool:
    """Whether these are the figures of work that was done."""
    return figures["cpu"] > 0 and figures["seconds"] > 0 and figures["gib"] >= figures["base"] > 0.01


@pytest.mark.parametrize("side", ["ours", "bf16"])
def test_ours(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "cropformer-swin-tiny", TINY)
    assert whole(end_to_end.SIDES[side](40, 60))


def test_nano() -> None:
    assert whole(end_to_end.run_nano(64, 96))


def test_mask2former_sees_the_same_views(monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.Mask2FormerForUniversalSegmentation
    small = {"feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "num_queries": 5, "encoder_layers": 1}
    small |= {"decoder_layers": 2, "encoder_feedforward_dim": 32, "dim_feedforward": 32, "num_attention_heads": 2}
    swin = functools.partial(transformers.SwinConfig, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1])
    config = functools.partial(transformers.Mask2FormerConfig, **small)
    seen: list[tuple[int, ...]] = []
    forward = model.forward
    monkeypatch.setattr(transformers, "SwinConfig", swin)
    monkeypatch.setattr(transformers, "Mask2FormerConfig", config)
    monkeypatch.setattr(views, "make_views", functools.partial(views.make_views, short=64, longest=96))

    def watched(self: Any, pixel_values: Any, **options: Any) -> Any:
        seen.append(tuple(pixel_values.shape))
        return forward(self, pixel_values, **options)

    monkeypatch.setattr(model, "forward", watched)
    assert whole(end_to_end.run_mask2former(64, 96))
    assert seen[1:] == [(1, 3, 64, 96)] * 5  # after the warm-up


SAM = {
    "vision_config": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 32}
    | {"image_size": 128, "window_size": 4, "global_attn_indexes": [1]},
    "prompt_encoder_config": {"image_size": 128},
}
SAM2 = {
    "vision_config": {
        "backbone_config": {"model_type": "sam2_hiera_det_model", "hidden_size": 8, "image_size": [128, 128]}
        | {"blocks_per_stage": [1, 1, 1, 1], "embed_dim_per_stage": [8, 16, 32, 64], "global_attention_blocks": []}
        | {"num_attention_heads_per_stage": [1, 1, 1, 1]},
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    },
    "prompt_encoder_config": {"image_size": 128},
}


@pytest.mark.parametrize(("side", "name", "small"), [("sam", "Sam", SAM), ("sam2", "Sam2", SAM2)])
def test_sam_is_asked_at_every_point(side: str, name: str, small: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    if not hasattr(transformers, f"{name}Model"):
        pytest.skip(f"this version of transformers does not have {name}Model")
    config, model = getattr(transformers, f"{name}Config"), getattr(transformers, f"{name}Model")
    monkeypatch.setattr(transformers, f"{name}Config", functools.partial(config, **small))
    monkeypatch.setattr(end_to_end, "GRID", 3)
    monkeypatch.setattr(end_to_end, "POINTS_EACH", 4)
    asked: list[list[float]] = []
    forward = model.forward

    def watched(self: Any, *, input_points: Any, **options: Any) -> Any:
        asked.extend(input_points.reshape(-1, 2).tolist())
        found = forward(self, input_points=input_points, **options)
        assert found.pred_masks.shape[1] == input_points.shape[1]
        return found

    monkeypatch.setattr(model, "forward", watched)
    assert whole(end_to_end.SIDES[side](40, 60))
    places = [pytest.approx(128 * share) for share in (1 / 6, 1 / 2, 5 / 6)]
    assert asked == [[x, y] for x in places for y in places]
