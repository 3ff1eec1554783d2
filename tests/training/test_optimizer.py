"""The optimizer and settings of each parameter."""

from __future__ import annotations

from esg.models.cropformer.config import PRESETS
from esg.models.cropformer.model import CropFormer
from esg.training.config import RunConfig
from esg.training.optimizer import optimizers, parameter_groups


def test_weight_decay_spares_norms_biases_embeddings_and_position_tables(tiny: str) -> None:
    model = CropFormer(PRESETS["tiny"].config)
    groups = parameter_groups(model, RunConfig(backbone_lr=0.1))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    spared = {names[id(p)] for group in groups if not group["weight_decay"] for p in group["params"]}
    decayed = {names[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}
    assert spared | decayed == set(names.values())
    assert not any(name.endswith("bias") or ".norm" in name or "norms." in name for name in decayed)
    assert {"decoder.query_features", "decoder.query_positions", "decoder.level_embed"} <= spared
    assert any(name.endswith("bias_table") for name in spared)
    assert "backbone.patch_embed.weight" in decayed
    assert {g["scale"] for g in groups for p in g["params"] if names[id(p)].startswith("backbone.")} == {0.1}
    assert {g["scale"] for g in groups for p in g["params"] if not names[id(p)].startswith("backbone.")} == {1.0}


def test_muon_steps_the_matrices_and_nothing_else(tiny: str) -> None:
    model = CropFormer(PRESETS["tiny"].config)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    adam, muon = (
        {names[id(p)] for group in part.param_groups for p in group["params"]}
        for part in optimizers(model, RunConfig(optimizer="muon"))
    )
    assert not adam & muon
    assert adam | muon == set(names.values())
    assert "decoder.layers.0.linear1.weight" in muon
    assert {"decoder.query_features", "decoder.class_head.weight", "decoder.norm.weight"} <= adam
    assert any(name.endswith("patch_embed.weight") for name in adam)  # a convolution


def test_adamw_has_all_of_them(tiny: str) -> None:
    model = CropFormer(PRESETS["tiny"].config)
    (adam,) = optimizers(model, RunConfig())
    assert sum(len(group["params"]) for group in adam.param_groups) == len(list(model.parameters()))
