from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

Nodes = Callable[[str], Any]


@pytest.fixture
def photo() -> torch.Tensor:
    """IMAGE of one picture, of values that 8 bits do not hold."""
    return torch.rand(1, 50, 70, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask() -> torch.Tensor:
    mask = torch.zeros(1, 50, 70)
    mask[0, 10:20, 30:45] = 1
    return mask


@pytest.fixture
def cut(nodes: Nodes) -> Callable[..., Any]:
    def run(
        image: torch.Tensor, mask: torch.Tensor, target: int = 64, grow: int = 2, feather: int = 3, **options: Any
    ) -> Any:
        return nodes("MaskToInpaint").cut(image, mask, target, "8", 1.5, grow, feather, True, **options)

    return run


@pytest.fixture
def stitch(nodes: Nodes) -> Callable[..., Any]:
    return lambda image, made, records, match=0.0: nodes("InpaintStitch").stitch([image], made, records, [match])


def test_a_crop_repainted_changes_nothing_outside_its_soft_edge(
    cut: Any, stitch: Any, photo: torch.Tensor, mask: torch.Tensor
) -> None:
    (crop,), (generation,), (blend,), (full,), records = cut(photo, mask)
    height, width = crop.shape[1:3]
    assert height % 8 == width % 8 == 0
    assert generation.shape == blend.shape == (1, height, width)
    assert full.shape == (1, 50, 70)
    assert (full >= mask).all()
    image, changed = stitch(photo, [torch.zeros_like(crop)], records)
    assert torch.equal(changed, full)
    assert torch.equal(image[full == 0], photo[full == 0])
    assert image[mask > 0].max() < 1e-6


def test_an_untouched_crop_gives_the_picture_back(
    cut: Any, stitch: Any, photo: torch.Tensor, mask: torch.Tensor
) -> None:
    crops, _, _, _, records = cut(photo, mask, target=128)
    assert torch.equal(stitch(photo, crops, records)[0], photo)


def test_several_masks_are_a_list_and_go_back_into_one_picture(
    cut: Any, stitch: Any, photo: torch.Tensor, mask: torch.Tensor
) -> None:
    both = torch.cat([mask, mask.roll((20, -20), (1, 2))])
    crops, generations, _, full, records = cut(photo, both)
    assert len(crops) == len(generations) == len(records) == 2
    made = [torch.zeros_like(crops[0]), torch.ones_like(crops[1])]
    image, changed = stitch(photo, made, records)
    assert image.shape == photo.shape
    assert image[mask > 0].max() < 1e-6
    assert image[both[1:] > 0].min() > 1 - 1e-6
    assert torch.equal(changed, torch.maximum(*full))
    assert torch.equal(image[changed == 0], photo[changed == 0])


def test_every_picture_of_a_batch_gets_its_own_back(
    cut: Any, stitch: Any, photo: torch.Tensor, mask: torch.Tensor
) -> None:
    batch = torch.cat([photo, 1 - photo])
    crops, _, _, _, records = cut(batch, mask)
    image, changed = stitch(batch, [torch.zeros_like(crops[0]), crops[1]], records)
    assert torch.equal(image[1], batch[1])
    assert not torch.equal(image[0], batch[0])
    assert changed.shape == (2, 50, 70)


def test_variants_of_a_crop_are_as_many_pictures(
    cut: Any, stitch: Any, photo: torch.Tensor, mask: torch.Tensor
) -> None:
    (crop,), _, _, _, records = cut(photo, mask)
    image, changed = stitch(photo, [torch.cat([crop, torch.zeros_like(crop), torch.ones_like(crop)])], records)
    assert image.shape == (3, 50, 70, 3)
    assert changed.shape == (3, 50, 70)
    assert torch.equal(image[0], photo[0])
    assert image[1][mask[0] > 0].max() < 1e-6
    assert image[2][mask[0] > 0].min() > 1 - 1e-6


def test_an_empty_mask_changes_nothing(cut: Any, stitch: Any, photo: torch.Tensor) -> None:
    (crop,), (generation,), _, _, records = cut(photo, torch.zeros(1, 50, 70), pass_empty=True)
    assert not generation.any()
    assert torch.equal(stitch(photo, [1 - crop], records)[0], photo)


def test_nothing_chosen_stops_what_comes_next(cut: Any, stitch: Any, photo: torch.Tensor, core: Any) -> None:
    with pytest.raises(core.InputError, match="The mask is empty"):
        cut(photo, torch.full((1, 50, 70), 0.02))
    masks = torch.zeros(3, 50, 70)
    masks[1, 10:20, 10:20] = 1
    (crop,), *_, records = cut(photo, masks)  # those that are empty are left out
    assert stitch(photo, [1 - crop], records)[1].any()


def test_alpha_stays_and_masks_of_another_size_are_fitted(cut: Any, stitch: Any, photo: torch.Tensor) -> None:
    clear = torch.cat([photo, photo[..., :1]], dim=-1)
    small = torch.zeros(1, 25, 35)
    small[0, 5:10, 15:20] = 1
    crops, _, _, full, records = cut(clear, small)
    image, _ = stitch(clear, [torch.zeros_like(crops[0])], records)
    assert image.shape == clear.shape
    assert torch.equal(image[..., 3], clear[..., 3])
    assert full[0].shape == (1, 50, 70)


def test_what_does_not_fit_is_one_sentence(
    cut: Any, stitch: Any, core: Any, photo: torch.Tensor, mask: torch.Tensor, nodes: Nodes
) -> None:
    with pytest.raises(core.InputError, match="3 masks do not fit 2 pictures"):
        cut(torch.cat([photo] * 2), torch.cat([mask] * 3))
    crops, _, _, _, records = cut(photo, mask)
    with pytest.raises(core.InputError, match="1 crops to paste back, but 2 inpainted pictures"):
        stitch(photo, crops * 2, records)
    with pytest.raises(core.InputError, match="one batch of pictures, but"):
        nodes("InpaintStitch").stitch([photo, photo], crops, records, [0.0])
    with pytest.raises(core.InputError, match="fewer pictures than were cut"):
        stitch(photo, crops, cut(torch.cat([photo] * 2), mask)[4][1:])
    with pytest.raises(core.InputError, match="different numbers of variants"):
        stitch(photo, [crops[0].repeat(2, 1, 1, 1), crops[0].repeat(3, 1, 1, 1)], records * 2)


@pytest.mark.parametrize("levels", [(1, 255), (2, 250), (16, 235)])
def test_black_that_is_not_quite_black_is_no_mask(
    cut: Any, stitch: Any, photo: torch.Tensor, mask: torch.Tensor, levels: tuple[int, int]
) -> None:
    black, white = levels
    grey = torch.where(mask > 0, white / 255, black / 255)
    (crop,), *masks, records = cut(photo, grey)
    (_true,), *true_masks, true_records = cut(photo, mask)
    assert records[0].stitch.box == true_records[0].stitch.box
    assert all(torch.equal(a[0], b[0]) for a, b in zip(masks, true_masks))
    image, changed = stitch(photo, [torch.zeros_like(crop)], records)
    assert torch.equal(image[changed == 0], photo[changed == 0])
    literal = cut(photo, grey, background=0.0)
    assert literal[4][0].stitch.box == (0, 0, 70, 50) or literal[0][0].shape != crop.shape


@pytest.fixture
def clip() -> tuple[torch.Tensor, torch.Tensor]:
    """Five pictures, and masks of something that moves and grows, and is not in the third picture."""
    frames = torch.rand(5, 48, 64, 3, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(5, 48, 64)
    for k in (0, 1, 3, 4):
        masks[k, 10 : 15 + 3 * k, 5 + 6 * k : 15 + 7 * k] = 1
    return frames, masks


def test_the_pictures_of_a_clip_have_one_box_and_make_one_batch(
    cut: Any, stitch: Any, clip: tuple[torch.Tensor, torch.Tensor]
) -> None:
    frames, masks = clip
    crops, generations, blends, full, records = cut(frames, masks, target=0, one_box=True)
    assert len(crops) == len(generations) == len(blends) == len(full) == 1
    assert len(crops[0]) == len(generations[0]) == len(full[0]) == len(records) == 5
    assert len({record.stitch.box for record in records}) == 1
    image, changed = stitch(frames, [1 - crops[0]], records)
    assert torch.equal(changed, full[0])
    assert torch.equal(image[changed == 0], frames[changed == 0])
    assert torch.equal(image[2], frames[2])
    for k in (0, 1, 3, 4):
        inside = masks[k] > 0
        assert torch.allclose(image[k][inside], 1 - frames[k][inside], atol=1e-5)


def test_crops_come_back_in_whatever_batches(cut: Any, stitch: Any, clip: tuple[torch.Tensor, torch.Tensor]) -> None:
    frames, masks = clip
    crops, *_, records = cut(frames, masks, one_box=True)
    made = 1 - crops[0]
    expected = stitch(frames, [made], records)[0]
    assert torch.equal(stitch(frames, [*made.split(1)], records)[0], expected)
    twice = stitch(frames, [torch.cat([made, crops[0]])], records)[0]  # two variants, the second as it was
    assert torch.equal(twice, torch.cat([expected, frames]))
    one_mask = masks.amax(0, keepdim=True)
    several, *_, records = cut(frames, one_mask)
    assert len(several) == 5
    expected = stitch(frames, [1 - one for one in several], records)[0]
    assert torch.equal(stitch(frames, [1 - torch.cat(several)], records)[0], expected)


def test_lists_of_pictures_of_different_sizes_go_there_and_back(nodes: Nodes, clip: Any) -> None:
    frames, masks = clip
    images = [frames[:1], torch.rand(1, 30, 90, 3), frames[1:3]]
    marked = [masks[:1], torch.zeros(1, 30, 90), masks[1:2]]
    marked[1][0, 5:9, 60:80] = 1
    settings = {"target": [64], "multiple": ["8"], "context": [1.5], "grow": [2], "feather": [3], "fill_holes": [True]}
    node = nodes("MaskToInpaint")
    assert node.INPUT_IS_LIST
    crops, *_, _full, records = getattr(node, node.FUNCTION)(image=images, mask=marked, **settings)
    assert len(crops) == 4  # one mask holds for both pictures of the third batch
    node = nodes("InpaintStitch")
    done, changed = node.stitch_lists(images, [1 - crop for crop in crops], records, [0.0])
    assert [one.shape for one in done] == [one.shape for one in images]
    for before, after, may in zip(images, done, changed):
        assert torch.equal(after[may == 0], before[may == 0])
        assert (after != before).flatten(1).any(1).all()
    copies = [image.clone() for image in images]  # as another node would give them on
    again, _ = node.stitch_lists(copies, [1 - crop for crop in crops], records, [0.0])
    assert all(torch.equal(a, b) for a, b in zip(again, done))


def test_an_empty_mask_in_a_list_leaves_its_picture_as_it_is(
    nodes: Nodes, core: Any, photo: torch.Tensor, part: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(part("host").PlainHost, "say", lambda self, text: said.append(text))
    mask = torch.zeros(1, 50, 70)
    mask[0, 10:20, 10:20] = 1
    images, masks = [photo, 1 - photo], [torch.zeros(1, 50, 70), mask]
    settings = {"target": [64], "multiple": ["8"], "context": [1.5], "grow": [2], "feather": [3], "fill_holes": [True]}
    (crop,), *_, records = nodes("MaskToInpaint").cut_lists(image=images, mask=masks, **settings)
    assert said == ["Skipped, because the mask is empty: item 1 of the list."]
    with pytest.raises(core.InputError, match="The mask is empty"):
        nodes("MaskToInpaint").cut_lists(image=images, mask=[masks[0]], **settings)
    done, _ = nodes("InpaintStitch").stitch_lists(images, [1 - crop], records, [0.0])
    assert torch.equal(done[0], images[0])
    assert not torch.equal(done[1], images[1])


@pytest.mark.parametrize(("width", "height"), [(64, 64), (96, 48), (40, 104)])
def test_a_crop_of_an_exact_size(
    cut: Any, stitch: Any, photo: torch.Tensor, mask: torch.Tensor, width: int, height: int
) -> None:
    (crop,), *_, records = cut(photo, mask, width=width, height=height)
    assert crop.shape == (1, height, width, 3)
    x0, y0, x1, y1 = records[0].stitch.box
    assert (x1 - x0) * height == (y1 - y0) * width
    assert torch.equal(stitch(photo, [crop], records)[0], photo)


def test_one_side_alone_is_no_size(cut: Any, core: Any, photo: torch.Tensor, mask: torch.Tensor) -> None:
    with pytest.raises(core.InputError, match="both the width and the height"):
        cut(photo, mask, width=64)


def test_a_size_that_cannot_be_is_told_before_anything_runs(nodes: Nodes) -> None:
    validate = nodes("MaskToInpaint").VALIDATE_INPUTS
    assert validate([0], [0]) is True
    assert validate([64], (None,)) is True  # it comes over a wire
    assert "both the width and the height" in validate([64], [0])
    assert "both the width and the height" in validate(width=[64])
    assert "from 0 to 8192" in validate([64], [9000])


def test_more_can_be_shown_to_the_model(cut: Any, photo: torch.Tensor, mask: torch.Tensor) -> None:
    more = torch.zeros(1, 50, 70)
    more[0, 45:48, 2:5] = 1
    (_,), (generation,), *_, records = cut(photo, mask, context_mask=more)
    x0, y0, x1, y1 = records[0].stitch.box
    assert x0 <= 2 < 45 <= x1
    assert y0 <= 10 < 48 <= y1
    assert generation.sum() < generation.numel() / 2


# ------------------------------------------------------------------------------------------------------- for each


def test_opencv_changes_the_masked_pixels_alone(nodes: Nodes, photo: torch.Tensor, mask: torch.Tensor) -> None:
    pytest.importorskip("cv2", reason="needs OpenCV")
    remove = nodes("InpaintOpenCV").remove
    (image,) = remove(photo, mask, 0, "telea", 3.0)
    assert torch.equal(image[mask == 0], photo[mask == 0])
    assert not torch.equal(image, photo)
    (wider,) = remove(photo, mask, 3, "ns", 3.0)
    differs = (wider != photo).any(-1)[0]
    assert differs[:7].sum() == 0
    assert differs[7:23, 27:48].float().mean() > 0.8
    assert torch.equal(remove(photo, torch.zeros(1, 5, 5), 3, "telea", 3.0)[0], photo)


def test_opencv_grows_into_no_hole_that_is_wider(nodes: Nodes, photo: torch.Tensor) -> None:
    pytest.importorskip("cv2", reason="needs OpenCV")
    ring = torch.zeros(1, 50, 70)
    ring[0, 10:40, 20:50] = 1
    ring[0, 15:35, 25:45] = 0
    (image,) = nodes("InpaintOpenCV").remove(photo, ring, 2, "telea", 3.0)
    assert torch.equal(image[0, 17:33, 27:43], photo[0, 17:33, 27:43])
    assert not torch.equal(image[0, 15, 25:45], photo[0, 15, 25:45])
    assert torch.equal(image[0, :8], photo[0, :8])


def test_alpha_of_any_kind_stays_and_images_are_float32_without_gradient(
    nodes: Nodes, cut: Any, stitch: Any, photo: torch.Tensor, mask: torch.Tensor
) -> None:
    pytest.importorskip("cv2", reason="needs OpenCV")
    clear = torch.cat([photo, photo[..., :1]], dim=-1).double().requires_grad_()
    crops, _, _, _, records = cut(clear, mask)
    for image in (stitch(clear, crops, records)[0], nodes("InpaintOpenCV").remove(clear, mask, 0, "telea", 3.0)[0]):
        assert image.dtype == torch.float32
        assert not image.requires_grad
        assert torch.equal(image[..., 3], photo[..., 0])


def test_crops_that_are_no_picture_at_all_are_one_sentence(
    cut: Any, stitch: Any, photo: torch.Tensor, mask: torch.Tensor, core: Any
) -> None:
    records = cut(photo, mask)[4]
    with pytest.raises(core.InputError, match="empty batches"):
        stitch(photo, [torch.zeros(0, 64, 64, 3)], records)


@pytest.mark.parametrize("channels", [3, 4])
def test_beyond_the_border_a_picture_is_painted_and_inside_it_stays(
    cut: Any, stitch: Any, photo: torch.Tensor, channels: int
) -> None:
    picture = torch.cat([photo, torch.zeros(1, 50, 70, 1)], dim=3)[..., :channels]
    margins = {"left": 16, "top": 8, "right": 24, "bottom": 40}
    # Margins on all sides make no hole of the photo, even where holes are filled.
    (crop,), _, _, (full,), records = cut(picture, torch.zeros(1, 50, 70), target=0, **margins)
    assert full.shape == (1, 50 + 8 + 40, 70 + 16 + 24)
    inner = slice(8, 58), slice(16, 86)
    assert full[0][inner].mean() < 0.5
    outside = torch.ones(98, 110, dtype=torch.bool)
    outside[inner] = False
    assert (full[0][outside] == 1).all()
    image, changed = stitch(picture, [torch.full_like(crop, 2 / 3)], records)
    assert torch.equal(changed, full)
    assert torch.allclose(image[0, ..., :3][outside], torch.tensor(2 / 3))
    untouched = full[0][inner] == 0
    assert untouched.any()
    assert torch.equal(image[0][inner][untouched], picture[0][untouched])
    assert (image[0, ..., 3:][outside] == 1).all()


@pytest.mark.parametrize("fill_holes", [True, False])
def test_a_mask_is_painted_together_with_the_margin(
    nodes: Nodes, photo: torch.Tensor, mask: torch.Tensor, fill_holes: bool
) -> None:
    ring = mask.clone()
    ring[0, 14:16, 35:40] = 0
    *_, (full,), _ = nodes("MaskToInpaint").cut(photo, ring, 64, "8", 1.5, 0, 0, fill_holes, right=8)
    assert full.shape == (1, 50, 78)
    assert (full[..., 70:] == 1).all()
    assert torch.equal(full[..., :70], mask if fill_holes else ring)


def test_what_has_to_be_seen_is_seen_in_a_wider_picture(cut: Any, photo: torch.Tensor, mask: torch.Tensor) -> None:
    seen = torch.zeros(1, 50, 70)
    seen[0, 40:, :10] = 1
    for top in (0, 8):
        *_, records = cut(photo, mask, target=0, top=top, context_mask=seen)
        x0, _, _, y1 = records[0].stitch.box
        assert x0 <= 0
        assert y1 >= 50 + top
