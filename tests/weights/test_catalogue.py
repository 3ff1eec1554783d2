"""The table of named checkpoints: complete, unambiguous, and forgiving about spelling."""

from __future__ import annotations

import pytest

from esg import WeightsError
from esg.models.cropformer.config import PRESETS
from esg.models.gella.config import PRESETS as GELLA_PRESETS
from esg.weights.catalogue import CHECKPOINTS, checkpoint_named

# Paths as the authors name them (the first three are known from the wild), each with the checkpoint that it is.
PUBLISHED = {
    "Entity_Segmentation/CropFormer_hornet_3x/CropFormer_hornet_3x_03823a.pth": "cropformer-hornet-large",
    "Entity_Segmentation/Mask2Former_hornet_3x/Mask2Former_hornet_3x_576d0b.pth": "mask2former-hornet-large",
    "Entity_Segmentation/CropFormer_swin_tiny_3x/CropFormer_swin_tiny_3x_5cea5e.pth": "cropformer-swin-tiny",
    "Entity_Segmentation/CropFormer_swin_large_w7_3x/CropFormer_swin_large_w7_3x_6843ef.pth": "cropformer-swin-large",
    "Entity_Segmentation/Mask2Former_swin_tiny_3x/Mask2Former_swin_tiny_3x_aw12b7.pth": "mask2former-swin-tiny",
    "Entity_Segmentation/Mask2Former_swin_large_w7_3x/model_final.pth": "mask2former-swin-large",
    "Instance_Segmentation/Mask2Former_R50/Mask2Former_R50_0.pth": "mask2former-instance-r50",
    "Instance_Segmentation/Mask2Former_swin_tiny/a.pth": "mask2former-instance-swin-tiny",
    "Instance_Segmentation/Mask2Former_swin_large_w12/a.pth": "mask2former-instance-swin-large-w12",
    "Panoptic_Segmentation/panoptic_mask2former_R_50/a.pth": "mask2former-panoptic-r50",
    "Panoptic_Segmentation/panoptic_mask2former_swin_tiny/a.pth": "mask2former-panoptic-swin-tiny",
    "Panoptic_Segmentation/panoptic_mask2former_swin_large_w7/a.pth": "mask2former-panoptic-swin-large-w7",
    "Panoptic_Segmentation/panoptic_mask2former_swin_large_w12/a.pth": "mask2former-panoptic-swin-large-w12",
    "Semantic_Segmentation/semantic_r50_0f.pth": "mask2former-semantic-r50",
    "Semantic_Segmentation/semantic_swin_t_0f.pth": "mask2former-semantic-swin-tiny",
    "Semantic_Segmentation/semantic_swin_l_win7_0f.pth": "mask2former-semantic-swin-large-w7",
    "Semantic_Segmentation/semantic_swin_l_win12_0f.pth": "mask2former-semantic-swin-large-w12",
}


UNPUBLISHED = {"cropformer-r50", "mask2former-r50"}  # of the paper's Table 3; the model zoo does not have them


def test_every_preset_has_weights_and_the_same_task() -> None:
    grounding = [name for name, checkpoint in CHECKPOINTS.items() if checkpoint.task == "grounding"]
    assert set(grounding) <= set(GELLA_PRESETS)
    assert {name: one.task for name, one in CHECKPOINTS.items() if name not in grounding} == {
        name: preset.task for name, preset in PRESETS.items() if name not in UNPUBLISHED
    }


def test_every_published_path_is_one_checkpoint() -> None:
    assert {path: [c.name for c in CHECKPOINTS.values() if c.matches(path)] for path in PUBLISHED} == {
        path: [name] for path, name in PUBLISHED.items()
    }
    assert {*PUBLISHED.values(), "cropformer-nano", "gella-nano"} == set(CHECKPOINTS)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("cropformer-hornet-l", "cropformer-hornet-large"),
        ("CropFormer_Swin_T", "cropformer-swin-tiny"),
        ("mask2former-semantic-swin-l-w12", "mask2former-semantic-swin-large-w12"),
        ("mask2former-instance-R_50", "mask2former-instance-r50"),
        ("cropformer-nano", "cropformer-nano"),
    ],
)
def test_spellings(spelling: str, name: str) -> None:
    assert checkpoint_named(spelling).name == name


@pytest.mark.parametrize(
    ("name", "preset", "command"),
    [
        ("gella-7b", "gella-7b", "gella --preset 7b"),
        ("GELLA_7B", "gella-7b", "gella --preset 7b"),
        ("gella-13b", "gella-13b", "gella --preset 13b"),
        ("cropformer-r50", "cropformer-r50", "cropformer --preset r50"),
        ("CropFormer_R_50", "cropformer-r50", "cropformer --preset r50"),
        ("mask2former-r50", "mask2former-r50", "cropformer --preset mask2former-r50"),
    ],
)
def test_a_preset_without_weights_is_to_be_trained(name: str, preset: str, command: str) -> None:
    with pytest.raises(WeightsError, match=f"published weights of {preset}; train .*`esg train {command}`"):
        checkpoint_named(name)


def test_public_models_have_no_weight_file_of_ours() -> None:
    with pytest.raises(WeightsError, match="zero-shot does not have a weight file of its own; `esg weights list`"):
        checkpoint_named("zero-shot")


def test_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(WeightsError, match=r"'cropformer-hornett'.*cropformer-hornet-large"):
        checkpoint_named("cropformer-hornett")


def test_only_models_for_the_task_are_suggested() -> None:
    with pytest.raises(WeightsError, match=r"did you mean cropformer-nano, gella-nano, "):
        checkpoint_named("nonsense")
    for task, names in ("entity", "cropformer-nano, cropformer-swin-tiny, "), ("grounding", r"gella-nano\?"):
        with pytest.raises(WeightsError, match=f"did you mean {names}"):
            checkpoint_named("nonsense", task)


def test_the_sentence_about_the_shipped_weights_is_true() -> None:
    """It is said of these numbers; another training changes both."""
    from esg.language.coco_names import NAMES, SYNONYMS

    shipped = {one.name: one.knows for one in CHECKPOINTS.values() if one.knows}
    assert set(shipped) == {one.name for one in CHECKPOINTS.values() if one.shipped}
    for name, knows in shipped.items():
        assert knows.startswith(f"{name} ")
        assert knows.endswith(".")
        assert ". " not in knows.replace("...", "")
    assert (len(NAMES), round(len(SYNONYMS), -2)) == (133, 700)
    named = [name for name in ("person", "dog", "car", "chair", "sky", "grass") if name in shipped["gella-nano"]]
    assert len(named) == 6
    assert set(named) <= set(NAMES)
