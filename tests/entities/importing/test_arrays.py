"""numpy files: stacks, label maps, and what is refused before it costs memory."""

from __future__ import annotations

import io
import logging
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from esg.entities.importing.arrays import read_arrays
from esg.entities.importing.stack import LabelMap, Stack
from esg.entities.rle import decode_mask
from esg.support.errors import InputError

MASKS = np.array([[[1, 0, 0], [1, 1, 0]], [[0, 1, 1], [0, 0, 1]]], bool)  # 2 masks of 3 x 2 pixels


def stack(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    found = read_arrays(path, size)
    assert isinstance(found, Stack)
    assert found.size == (2, 3)
    return np.stack([decode_mask(mask) for mask in found.rles])


def header(shape: tuple[int, ...], descr: str = "|b1", fortran: bool = False) -> bytes:
    """The beginning of a .npy file."""
    text = repr({"descr": descr, "fortran_order": fortran, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    "array",
    [
        MASKS,
        MASKS[:, None],
        np.asfortranarray(MASKS),
        np.asfortranarray(MASKS[:, None]),
        MASKS.astype(">i2"),
        MASKS.astype(np.uint8) * np.uint8(255),
        MASKS.astype(np.float32) * 0.9,
    ],
)
def test_stacks_in_any_layout(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "masks.npy", array)
    assert np.array_equal(stack(tmp_path / "masks.npy", (2, 3)), MASKS)
    np.savez_compressed(tmp_path / "masks.npz", array)
    assert np.array_equal(stack(tmp_path / "masks.npz"), MASKS)


def test_label_maps(tmp_path: Path) -> None:
    labels = np.array([[0, 300], [70000, 1]], ">u4")
    for array in (labels, np.asfortranarray(labels)):
        np.save(tmp_path / "labels.npy", array)
        found = read_arrays(tmp_path / "labels.npy")
        assert isinstance(found, LabelMap)
        assert found.labels.dtype == np.int32
        assert found.labels.tolist() == labels.tolist()
        assert found.scores is None
    np.save(tmp_path / "labels.npy", labels > 0)
    assert read_arrays(tmp_path / "labels.npy")[0].tolist() == [[0, 1], [1, 1]]


def test_labels_with_minus_one_for_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "esg")
    for kind in (np.int8, np.int64, np.float32):
        np.save(tmp_path / "labels.npy", np.array([[-1, 0, 2], [1, 1, 2]], kind))
        assert read_arrays(tmp_path / "labels.npy")[0].tolist() == [[0, 1, 3], [2, 2, 3]]
        assert read_arrays(tmp_path / "labels.npy", void=0)[0].tolist() == [[0, 0, 2], [1, 1, 2]]
    assert "-1 belongs to no entity, and 0 is an entity; pass void=0 if" in caplog.text


@pytest.mark.parametrize(
    ("void", "kind"),
    [
        *((-100, kind) for kind in (np.int8, np.int16, np.int64, np.float32)),
        *((255, kind) for kind in (np.uint8, np.int16, np.uint16, np.int64, np.float64)),
        *((65535, kind) for kind in (np.uint16, np.int32, np.float32)),
        (np.iinfo(np.int32).min, np.int32),
        (np.iinfo(np.int64).min, np.int64),
        (np.iinfo(np.uint32).max, np.uint32),
        (np.iinfo(np.uint64).max, np.uint64),
        (np.nan, np.float64),
    ],
)
def test_numbers_of_label_maps_that_belong_to_no_entity(tmp_path: Path, void: float, kind: type) -> None:
    labels = np.array([[0, 1, 2]] * 3, kind).repeat(9, axis=0).repeat(9, axis=1)
    wanted = labels.astype(np.int64).copy()
    labels[:4], wanted[:4] = void, 0
    np.save(tmp_path / "labels.npy", labels)
    assert read_arrays(tmp_path / "labels.npy")[0].tolist() == wanted.tolist()


def test_ignored_pixels_of_a_mask_are_outside(tmp_path: Path) -> None:
    masks = np.array([[[0, 1, 255], [0, 1, 1]], [[0, 255, 0], [0, 0, 0]]], np.uint8)
    np.save(tmp_path / "masks.npy", masks)
    assert stack(tmp_path / "masks.npy").astype(int).tolist() == [[[0, 1, 0], [0, 1, 1]], [[0, 1, 0], [0, 0, 0]]]


def test_logits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "esg")
    logits = np.where(MASKS, 4.5, -7.0).astype(np.float16)
    for array in (logits, logits[:, None]):
        np.save(tmp_path / "logits.npy", array)
        assert np.array_equal(stack(tmp_path / "logits.npy"), MASKS)
    np.save(tmp_path / "logits.npy", logits[0])
    assert np.array_equal(stack(tmp_path / "logits.npy"), MASKS[:1])
    assert "holds logits, numbers below and above 0; the pixels above 0 are inside" in caplog.text


def test_pixels_of_pictures(tmp_path: Path) -> None:
    mask = np.zeros((12, 16), np.uint8)
    mask[2:8, 3:9] = 255
    for channels in ([mask] * 3, [mask, mask, mask, mask * 0 + 255]):
        np.save(tmp_path / "mask.npy", np.stack(channels, axis=-1))
        found = read_arrays(tmp_path / "mask.npy", (12, 16))
        assert isinstance(found, Stack)
        assert decode_mask(found.rles[0]).tolist() == (mask > 0).tolist()
    np.save(tmp_path / "ids.npy", np.stack([mask // 85, mask * 0, mask * 0], axis=-1))  # COCO's panoptic format
    assert read_arrays(tmp_path / "ids.npy", (12, 16))[0].tolist() == (mask // 85).tolist()
    np.save(tmp_path / "masks.npy", np.stack([mask, mask[::-1], mask[:, ::-1]], axis=-1))
    assert len(read_arrays(tmp_path / "masks.npy", (12, 16)).rles) == 3


@pytest.mark.parametrize(
    "arrays",
    [
        {"masks": MASKS, "scores": [0.5, 0.9], "boxes": np.ones((2, 4)), "labels": [3, 4]},  # a detector's
        {"masks": MASKS, "scores": [0.5, 0.9], "labels": np.zeros((2, 3), int), "other": MASKS},
        {"masks": MASKS, "iou_predictions": [[0.5], [0.9]]},
        {"sky": MASKS, "score": [0.5, 0.9], "boxes": np.ones((2, 4))},
        {"image": np.zeros((2, 3, 3), np.uint8), "pred_masks": MASKS, "scores": [0.5, 0.9]},
    ],
)
def test_names_in_a_npz(tmp_path: Path, arrays: dict) -> None:
    np.savez(tmp_path / "masks.npz", **arrays)
    assert np.array_equal(stack(tmp_path / "masks.npz"), MASKS)
    assert read_arrays(tmp_path / "masks.npz").scores == [0.5, 0.9]


def test_the_only_array_of_a_npz_that_fits_the_photo(tmp_path: Path) -> None:
    np.savez(tmp_path / "masks.npz", image=np.zeros((*MASKS.shape[1:], 3), np.uint8), sky=MASKS)
    found = read_arrays(tmp_path / "masks.npz", MASKS.shape[1:])
    assert isinstance(found, Stack)
    assert np.array_equal(np.stack([decode_mask(one) for one in found.rles]), MASKS)


def test_labels_of_a_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "labels.npz", labels=np.array([[2, 1]]), scores=[0.25, 0.5], image=np.zeros((1, 2, 3)))
    found = read_arrays(tmp_path / "labels.npz")
    assert isinstance(found, LabelMap)
    assert (found.labels.tolist(), found.scores) == ([[2, 1]], [0.25, 0.5])


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    records = np.array([{"segmentation": MASKS[0]}, Bomb()], object)
    np.save(tmp_path / "sam.npy", records, allow_pickle=True)
    np.savez(tmp_path / "sam.npz", masks=records, scores=[1.0, 1.0])
    for name in ("sam.npy", "sam.npz"):
        with pytest.raises(InputError, match=r"holds Python objects \(a pickle\), which are not read"):
            read_arrays(tmp_path / name)
    np.savez(tmp_path / "sam.npz", masks=MASKS, notes=records)  # nor where nobody asks for them
    assert np.array_equal(stack(tmp_path / "sam.npz"), MASKS)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(5), r"has the shape \(5,\); masks have \(number of masks, height, width\)"),
        (np.zeros((2, 2, 2, 3)), r"has the shape \(2, 2, 2, 3\)"),
        (np.full((2, 3), 2.5), "values up to 2.5, but those of a mask are 0 and 1"),
        (np.zeros((2, 3), "U1"), "<U1, but labels are integers, and masks go from 0 to 1"),
        (np.zeros((2, 2, 3), "U1"), "<U1, but masks are bool"),
        (np.zeros((2, 2, 3), complex), "complex128, but masks are bool"),
        (np.full((2, 3), 2**63, np.uint64), "labels up to 9223372036854775808; give integers from 1"),
        (np.zeros((2, 0, 3), bool), "without pixels"),
        (np.stack([MASKS[0] * np.nan] * 2), r"mask 1, mask 2: holds values that are not finite"),
    ],
)
def test_arrays_that_are_no_masks(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "masks.npy", array)
    with pytest.raises(InputError, match=words):
        read_arrays(tmp_path / "masks.npy")


@pytest.mark.parametrize("turn", [np.ascontiguousarray, np.asfortranarray])
def test_masks_along_the_last_axis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: Callable[[np.ndarray], np.ndarray]
) -> None:
    many = np.concatenate([MASKS, MASKS, MASKS])
    np.save(tmp_path / "masks.npy", turn(many.transpose(1, 2, 0)))
    assert np.array_equal(stack(tmp_path / "masks.npy", (2, 3)), many)
    np.save(tmp_path / "masks.npy", turn(MASKS[:1].transpose(1, 2, 0)).astype(np.uint8))
    assert read_arrays(tmp_path / "masks.npy", (2, 3))[0].tolist() == MASKS[0].astype(int).tolist()
    np.save(tmp_path / "masks.npy", many.transpose(1, 2, 0))
    monkeypatch.setattr("esg.entities.importing.arrays._WHOLE", 5)
    with pytest.raises(InputError, match=r"along the last axis; save it as array\.transpose\(2, 0, 1\)"):
        read_arrays(tmp_path / "masks.npy", (2, 3))


def test_one_plane_is_what_its_values_say(tmp_path: Path) -> None:
    path = tmp_path / "plane.npy"
    for values, labels in (
        (np.array([[0.0, 3.0], [1.0, 0.0]]), [[0, 3], [1, 0]]),
        (np.array([[[0, 3], [1, 0]]]), [[0, 3], [1, 0]]),
        (np.array([[0, 1, 2, 255]], np.uint8).repeat(9, 0).repeat(9, 1), None),
    ):
        np.save(path, values)
        found = read_arrays(path)
        assert isinstance(found, LabelMap)
        assert found.labels.tolist() == labels or (labels is None and set(np.unique(found.labels)) == {0, 1, 2})
    for values in (
        np.array([[0.0, 0.75], [0.25, 1.0]]),
        np.array([[[0, 255], [0, 255]]]),
        np.array([[[0, 1], [0, 1]]]),
    ):
        np.save(path, values)
        found = read_arrays(path)
        assert isinstance(found, Stack)
        assert decode_mask(found.rles[0]).tolist() == [[False, True], [False, True]]


def test_a_mask_that_cannot_be_used_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.savez(tmp_path / "masks.npz", masks=np.stack([MASKS[0], MASKS[1] * np.nan, MASKS[1]]), scores=[0.5, 0.6, np.inf])
    found = read_arrays(tmp_path / "masks.npz")
    assert isinstance(found, Stack)
    assert found.scores == [0.5, 1.0]
    assert "1 of 3 masks is left out: mask 2 holds values that are not finite" in caplog.text
    assert "score 1 for 1 mask without a usable score: mask 3 has the score inf" in caplog.text


def test_scores_that_do_not_fit_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.savez(tmp_path / "masks.npz", masks=MASKS, scores=[1.0])
    assert np.array_equal(stack(tmp_path / "masks.npz"), MASKS)
    assert "has 2 masks but 1 scores; the scores are ignored" in caplog.text
    for scores, words in (
        (["high", "low"], "holds text that is not numbers; the scores are ignored"),
        ([True, False], "holds bool instead of numbers; the scores are ignored"),
        (np.ones((2, 2)), "has the shape (2, 2) instead of one score per mask; the scores are ignored"),
    ):
        np.savez(tmp_path / "masks.npz", masks=MASKS, scores=scores)
        assert np.array_equal(stack(tmp_path / "masks.npz"), MASKS)
        assert words in caplog.text
    np.savez(tmp_path / "masks.npz", masks=MASKS, scores=["0.5", "0.9"])
    assert read_arrays(tmp_path / "masks.npz").scores == [0.5, 0.9]


def test_arrays_under_any_key_and_with_axes_too_many(tmp_path: Path) -> None:
    for key in ("filename", "data", "arr_0"):
        np.savez_compressed(tmp_path / "masks.npz", **{key: MASKS})
        assert np.array_equal(stack(tmp_path / "masks.npz"), MASKS)
    np.save(tmp_path / "masks.npy", np.asarray(MASKS)[None, :, None])  # (1, N, 1, H, W)
    assert np.array_equal(stack(tmp_path / "masks.npy"), MASKS)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": MASKS, "b": MASKS}, r'does not have an array called "masks" .* only a, b; rename the right one\.$'),
        ({"scores": [1.0, 1.0]}, r"only scores; rename the right one\.$"),
        ({"a": np.full((2, 3), 7), "b": np.full((2, 3), 9)}, r"only a, b; rename the right one\.$"),
        ({"a": MASKS[0], "b": np.zeros((5, 5), bool)}, r"only a, b; rename the right one\.$"),
    ],
)
def test_npz_that_cannot_be_understood(tmp_path: Path, arrays: dict, words: str) -> None:
    np.savez(tmp_path / "masks.npz", **arrays)
    with pytest.raises(InputError, match=words):
        read_arrays(tmp_path / "masks.npz")


def test_several_planes_of_a_npz(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "esg")
    path = tmp_path / "planes.npz"
    np.savez(path, person=MASKS[0], cat=MASKS[1])
    assert np.array_equal(stack(path), MASKS)
    np.savez(path, person=MASKS[0] * np.uint8(255), cat=MASKS[1], depth=np.array([[7, 8, 9], [1, 2, 3]]))
    assert np.array_equal(stack(path, (2, 3)), MASKS)
    assert "each of the arrays person, cat is a mask; depth is not" in caplog.text
    np.savez(path, labels_of_things=np.array([[0, 1, 2], [0, 1, 2]]), depth=np.ones((2, 3)), xyxy=np.ones((2, 3)))
    assert read_arrays(path, (2, 3))[0].tolist() == [[0, 1, 2], [0, 1, 2]]


def test_zip_files_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(InputError, match="does not hold any numpy arrays"):
        read_arrays(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("masks.npy", b"no array")
    with pytest.raises(InputError, match=r"is damaged or incomplete \(the header of an array is damaged\)"):
        read_arrays(path)


@pytest.mark.parametrize("shape", [(2, -1, 3), (2, "x", 3), 7, (2, 3.5, 1)])
def test_impossible_shapes(tmp_path: Path, shape: object) -> None:
    (tmp_path / "masks.npy").write_bytes(header(shape) + bytes(100))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is damaged or incomplete"):
        read_arrays(tmp_path / "masks.npy")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((10**9, 10, 10), "1,000,000,000 masks of 10x10 pixels, more than the limit of 10,000 masks"),
        ((60_000, 10_000, 10_000), "5,000,000,000 pixels in total; save them as COCO JSON"),
        ((1, 10**6, 10**6), "more than the limit of 200,000,000"),
        ((10**6, 10**6), "more than the limit of 200,000,000"),
        ((50, 8_000, 8_000), "it ends before the last of its numbers"),
    ],
)
def test_what_a_header_promises_costs_no_memory(tmp_path: Path, shape: tuple[int, ...], words: str) -> None:
    (tmp_path / "masks.npy").write_bytes(header(shape) + bytes(1000))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=words):
            read_arrays(tmp_path / "masks.npy")
        assert tracemalloc.get_traced_memory()[1] < 100_000_000  # one mask of 64 megapixels, not fifty
    finally:
        tracemalloc.stop()


def test_a_large_stack_in_fortran_order_is_refused(tmp_path: Path) -> None:
    (tmp_path / "masks.npy").write_bytes(header((100, 4_000, 4_000), fortran=True))
    with pytest.raises(InputError, match="in Fortran order and too large"):
        read_arrays(tmp_path / "masks.npy")


def test_the_stack_is_never_in_memory(tmp_path: Path) -> None:
    one = np.zeros((1000, 1000), bool)
    one[300:600, 200:700] = True
    data = io.BytesIO()
    np.save(data, one)
    with (
        zipfile.ZipFile(tmp_path / "masks.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("masks.npy", "w") as file,
    ):
        file.write(header((40, 1000, 1000)))
        for _ in range(40):
            file.write(one.tobytes())
    tracemalloc.start()
    try:
        found = read_arrays(tmp_path / "masks.npz")
        assert tracemalloc.get_traced_memory()[1] < 15_000_000  # bytes; the stack has 40 million
    finally:
        tracemalloc.stop()
    assert isinstance(found, Stack)
    assert len(found.rles) == 40
    assert np.array_equal(decode_mask(found.rles[39]), one)


def test_not_a_number_beside_one_is_outside(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1, np.nan], [0, 1]], np.float32))
    found = read_arrays(tmp_path / "a.npy")
    assert isinstance(found, LabelMap)
    assert found.labels.tolist() == [[1, 0], [0, 1]]


def test_a_sparse_matrix_is_named(tmp_path: Path) -> None:
    from scipy.sparse import csr_matrix, save_npz

    save_npz(tmp_path / "a.npz", csr_matrix(MASKS[0]))
    with pytest.raises(InputError, match=r"holds a sparse matrix of SciPy; save it with numpy\.save"):
        read_arrays(tmp_path / "a.npz")
