from __future__ import annotations

import pytest
import torch

from esg.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_singular_values_become_alike_and_directions_stay(shape: tuple[int, int]) -> None:
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    found = orthogonalised(matrices)
    assert found.dtype == torch.float32
    values = torch.linalg.svdvals(found)
    assert 0.3 < float(values.min()) < float(values.max()) < 1.6  # the iteration is made for speed, not to end at 1
    aligned = torch.einsum("nik,nij,nkj->nk", u, found, v)
    assert torch.allclose(aligned, values.sort(descending=True).values, atol=1e-3) or float(aligned.min()) > 0.3


def test_steps_are_those_of_pytorch() -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this version of PyTorch has no Muon to compare with")
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(12, 5, generator=generator)
    own, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    mine = Muon([own], lr=0.01, weight_decay=0.1)
    other = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        own.grad = torch.randn(12, 5, generator=generator)
        theirs.grad = own.grad.clone()
        mine.step()
        other.step()
    assert float((own - start).abs().max()) > 0.01
    assert torch.allclose(own, theirs, atol=2e-3)  # PyTorch's computes in bfloat16


def test_a_state_can_be_taken_over() -> None:
    parameter = torch.nn.Parameter(torch.eye(3))
    first = Muon([parameter])
    parameter.grad = torch.ones(3, 3)
    first.step()
    second = Muon([parameter])
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.state[parameter]["momentum_buffer"], first.state[parameter]["momentum_buffer"])


def test_what_has_no_gradient_stays() -> None:
    parameter = torch.nn.Parameter(torch.eye(3))
    Muon([parameter], weight_decay=0.5).step()
    assert torch.equal(parameter, torch.eye(3))
