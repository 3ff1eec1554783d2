"""The files of a photo: all of them or none, and one line that says why they could not be written."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from esg import EntityMap, OutputError

Run = Callable[..., Any]
Written = Callable[[], list[str]]
MakePhoto = Callable[..., Path]


def test_masks(segment: Run, tmp_path: Path, photo: Path) -> None:
    folder = tmp_path / "out/photo.masks"
    folder.mkdir(parents=True)
    (folder / "99.png").touch()  # of an earlier run with more entities
    (folder / "mine.png").touch()
    assert segment(photo, "--save", "labels,masks").status == 0
    entities = EntityMap.from_labels_png(tmp_path / "out/photo.labels.png")
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        [*(f"{number}.png" for number in range(1, len(entities) + 1)), "mine.png"]
    )
    for number in range(1, len(entities) + 1):
        mask = np.asarray(Image.open(folder / f"{number}.png"))
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, 255 * (entities.labels == number))


def test_ctrl_c(
    segment: Run,
    tmp_path: Path,
    photo: Path,
    make_photo: MakePhoto,
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("esg.drawing.overlay.overlay", pressed)
    result = segment(photo, make_photo(tmp_path / "other.png"), "--save", "labels,overlay")
    assert (result.status, result.err) == (130, ["esg: Stopped."])
    assert written() == []


# ---------------------------------------------------------------------------------------- places that cannot be written


@pytest.mark.usefixtures("without_model")
@pytest.mark.parametrize("place", ["out", "out/below"])
def test_a_file_in_the_place_of_the_output_folder(segment: Run, tmp_path: Path, photo: Path, place: str) -> None:
    (tmp_path / "out").write_text("precious")
    segment(photo, "--out", tmp_path / place).refused("output folder", str(tmp_path / place), "choose another")
    assert (tmp_path / "out").read_text() == "precious"


@pytest.mark.usefixtures("without_model")
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root can write to: /proc")
def test_an_output_folder_that_may_not_be_written_to(segment: Run, photo: Path) -> None:
    segment(photo, "--out", "/proc/self").refused("output folder /proc/self", "choose another")


def test_what_is_refused_leaves_no_output_folder(segment: Run, tmp_path: Path, photo: Path) -> None:
    segment(tmp_path / "missing.jpg", "--out", tmp_path / "new/below").refused("missing.jpg does not exist")
    segment(photo, "--out", tmp_path / "new/below", "--model", "nonsense").refused("no model or file called")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_folder_in_the_place_of_a_result(segment: Run, tmp_path: Path, photo: Path, written: Written) -> None:
    (tmp_path / "out/photo.labels.png").mkdir(parents=True)
    segment(photo).refused(str(tmp_path / "out/photo.labels.png"), "there is a folder with this name")
    assert written() == ["photo.labels.png/"]


def test_a_file_in_the_place_of_the_masks(
    segment: Run, tmp_path: Path, make_photo: MakePhoto, written: Written
) -> None:
    """Neither the files that could be written come, nor the folders that were made for them."""
    make_photo(tmp_path / "in/sub/photo.png")
    (tmp_path / "out/sub").mkdir(parents=True)
    (tmp_path / "out/sub/photo.masks").write_text("precious")
    result = segment(tmp_path / "in", "--save", "overlay,labels,coco,masks")
    result.refused("Cannot write", str(tmp_path / "out/sub/photo.masks"))
    assert written() == ["sub/photo.masks"]
    assert (tmp_path / "out/sub/photo.masks").read_text() == "precious"


def test_a_move_that_fails_is_undone(
    segment: Run, tmp_path: Path, make_photo: MakePhoto, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_photo(tmp_path / "in/sub/photo.png")
    (tmp_path / "out/sub/photo.masks").mkdir(parents=True)
    (tmp_path / "out/sub/photo.labels.png").write_text("earlier")
    (tmp_path / "out/sub/photo.masks/99.png").write_text("stale")
    before = written()
    replace = Path.replace

    def fails(self: Path, target: Path) -> Path:
        if target == tmp_path / "out/sub/photo.masks/1.png":  # the last kind to be moved
            raise PermissionError(errno.EACCES, "Permission denied", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    result = segment(tmp_path / "in", "--save", "overlay,labels,coco,masks")
    result.refused(str(tmp_path / "out/sub/photo.masks"), "permission denied")
    assert written() == before
    assert (tmp_path / "out/sub/photo.labels.png").read_text() == "earlier"
    assert (tmp_path / "out/sub/photo.masks/99.png").read_text() == "stale"


# ---------------------------------------------------------------------------------------------- several photos in a run


def test_a_photo_that_cannot_be_written_does_not_stop_the_others(
    segment: Run, tmp_path: Path, photo: Path, make_photo: MakePhoto, written: Written
) -> None:
    (tmp_path / "out/photo.labels.png").mkdir(parents=True)
    result = segment(photo, make_photo(tmp_path / "other.png"), "--save", "labels")
    assert result.status == 2
    assert "there is a folder with this name" in result.err[0]
    assert result.err[2:] == [f"esg: The files of 1 of 2 photos could not be written: {photo}"]
    assert written() == ["other.labels.png", "photo.labels.png/"]


def test_photos_not_segmented_and_not_written_are_listed_separately(segment: Run, tmp_path: Path, photo: Path) -> None:
    (tmp_path / "out/photo.labels.png").mkdir(parents=True)
    result = segment(photo, tmp_path / "missing.jpg", "--save", "labels")
    assert result.status == 2
    assert result.err[2:] == [
        f"esg: 1 of 2 photos could not be segmented: {tmp_path / 'missing.jpg'}",
        f"esg: The files of 1 of 2 photos could not be written: {photo}",
    ]


@pytest.mark.parametrize("reason", ["full", "read-only"])
def test_an_output_that_takes_no_more_ends_the_run(
    segment: Run,
    tmp_path: Path,
    photo: Path,
    make_photo: MakePhoto,
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
) -> None:
    def fails(self: EntityMap, *_: object) -> None:
        if reason == "full":
            raise OutputError("The disk is full.") from OSError(errno.ENOSPC, "No space left on device")
        monkeypatch.setattr("esg.cli.results.try_folder", read_only)
        raise OutputError("It cannot be written.") from OSError(errno.EROFS, "Read-only file system")

    def read_only(folder: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(EntityMap, "save_labels_png", fails)
    result = segment(photo, make_photo(tmp_path / "other.png"), "--save", "labels")
    assert result.status == 2
    assert ("disk is full" if reason == "full" else "(read-only file system)") in result.err[-1]
    assert not any("other.png" in line for line in result.err)
    assert written() == []


# ----------------------------------------------------------------------------------------------- known before the work


@pytest.mark.usefixtures("without_model")
def test_problems_with_files_are_reported_before_a_model_is_loaded(
    segment: Run, tmp_path: Path, make_photo: MakePhoto
) -> None:
    segment(tmp_path / "missing.jpg").refused("missing.jpg does not exist")
    (tmp_path / "words.jpg").write_text("no picture")
    long = make_photo(tmp_path / ("x" * 245 + ".png"))
    result = segment(tmp_path / "words.jpg", long, tmp_path / "missing.jpg")
    assert result.status == 2
    assert "words.jpg is not a picture" in result.err[0]
    assert "would be too long (257 bytes); give the photo a shorter name." in result.err[1]
    assert "missing.jpg does not exist" in result.err[2]
    assert result.err[3].startswith("esg: 3 of 3 photos could not be segmented: ")
    assert not (tmp_path / "out").exists()


def test_a_name_is_too_long_only_for_the_results_that_are_asked_for(
    segment: Run, tmp_path: Path, make_photo: MakePhoto
) -> None:
    photo = make_photo(tmp_path / ("照" * 80 + ".png"))  # 240 bytes before the suffix
    assert segment(photo, "--save", "labels").status == 0
    segment(make_photo(tmp_path / ("照" * 82 + ".png")), "--save", "labels").refused("too long (257 bytes)")


def test_replaced_files_are_counted_and_kept_where_asked(
    segment: Run, tmp_path: Path, photo: Path, make_photo: MakePhoto, written: Written
) -> None:
    assert segment(photo, "--save", "labels").err[0].endswith("out/photo.*")
    assert segment(photo, "--save", "labels,coco").err[0].endswith("out/photo.* (1 earlier file replaced)")
    assert segment(photo, "--save", "labels,coco").err[0].endswith("out/photo.* (2 earlier files replaced)")
    result = segment(photo, make_photo(tmp_path / "other.png"), "--save", "labels", "--no-overwrite")
    assert result.status == 0
    assert result.err[0] == f"{photo}: skipped, because {tmp_path / 'out/photo.labels.png'} already exists."
    assert result.err[1].startswith(f"[2/2] {tmp_path / 'other.png'}: ")
    assert "other.labels.png" in written()


def test_the_overlay_has_the_profile_of_the_photo(segment: Run, tmp_path: Path, photo: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with Image.open(photo) as picture:
        picture.save(photo, icc_profile=profile)
    assert segment(photo, "--save", "overlay").status == 0
    with Image.open(tmp_path / "out/photo.overlay.jpg") as picture:
        assert picture.info["icc_profile"] == profile


# ----------------------------------------------------------------------------------------------- writes that do not end


@pytest.mark.parametrize("kind", ["labels", "overlay", "coco", "masks"])
def test_a_full_disk(
    segment: Run, tmp_path: Path, photo: Path, written: Written, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The last of the files does not fit any more: those before it go too, and earlier results stay."""
    assert segment(photo, "--save", "labels").status == 0
    earlier = (tmp_path / "out/photo.labels.png").read_bytes()
    writes = []

    def until_full(write: Callable[..., int]) -> Callable[..., int]:
        def fails(self: Path, *content: Any, **options: Any) -> int:
            writes.append(self)
            if len(writes) > 1:
                raise OSError(errno.ENOSPC, "No space left on device", str(self))
            return write(self, *content, **options)

        return fails

    monkeypatch.setattr(Path, "write_bytes", until_full(Path.write_bytes))
    monkeypatch.setattr(Path, "write_text", until_full(Path.write_text))
    first = "overlay" if kind == "labels" else "labels"
    result = segment(photo, "--save", f"{first},{kind}")
    result.refused(str(tmp_path / "out/photo."), "the disk is full", "choose another folder")
    assert ".esg-" not in result.err[0]
    assert len(writes) == 2
    assert written() == ["photo.labels.png"]
    assert (tmp_path / "out/photo.labels.png").read_bytes() == earlier


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the file size are a matter of Unix")
def test_a_real_write_error(segment: Run, photo: Path, written: Written) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # bytes: the labels fit, the overlay does not
    try:
        result = segment(photo, "--save", "labels,overlay")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    result.refused("photo.overlay.jpg cannot be written", "too large")
    assert written() == []
