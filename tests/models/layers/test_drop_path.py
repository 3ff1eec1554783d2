from __future__ import annotations

import pytest
import torch

from esg.models.layers.drop_path import DropPath, set_drop_path
from esg.models.layers.hornet import HorNetConfig
from esg.models.layers.swin import SwinConfig

SWIN = SwinConfig(width=8, depths=(1, 2, 1, 1), heads=(1, 1, 1, 1), window=4)
HORNET = HorNetConfig(width=32, depths=(1, 2, 1, 1), filters=(None, None, None, None))


def test_in_training_a_branch_is_dropped_for_whole_pictures_and_keeps_its_mean() -> None:
    torch.manual_seed(0)
    path = DropPath()
    path.rate = 0.25
    ones = torch.ones(4000, 2, 3)
    out = path(ones)
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (out.flatten(1).amin(1) == out.flatten(1).amax(1)).all()
    assert float(out.mean()) == pytest.approx(1, abs=0.05)
    assert torch.equal(path.eval()(ones), ones)


@pytest.mark.parametrize("config", [SWIN, HORNET])
def test_rates_grow_with_the_depth_and_add_no_weights(config: SwinConfig | HorNetConfig) -> None:
    backbone = config.build()
    names = set(backbone.state_dict())
    set_drop_path(backbone, 0.4)
    assert [m.rate for m in backbone.modules() if isinstance(m, DropPath)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert not any("drop_path" in name for name in names)
    pixels = torch.randn(4, 3, 64, 64)
    before = [level.detach() for level in backbone.eval()(pixels)]
    torch.manual_seed(1)
    for block in (m for m in backbone.modules() if isinstance(m, DropPath)):
        block.rate = 1 - 1e-9  # all branches
    backbone.train()
    plain = [level.detach() for level in backbone(pixels)]
    assert not torch.allclose(plain[-1], before[-1])
    assert torch.equal(backbone.eval()(pixels)[-1].detach(), before[-1])
