"""Bad input from end to end: one line says what is wrong, the exit status is 2, and nothing is left behind.

Odd but good pictures are here too: they have to work.
"""

from __future__ import annotations

import errno
import io
import pickle
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from esg import EntityMap, EntitySegmenter, ImageError, InputError, OutputError, read_image
from esg.cli import main

SMALL = ["--size", "64", "--max-size", "96", "--min-score", "0", "--device", "cpu"]
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def segment(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `esg segment` with a tiny model and the output folder `tmp_path / "out"`."""

    def run(*arguments: object) -> SimpleNamespace:
        capsys.readouterr()
        options = ["--model", tiny_model, "--out", tmp_path / "out", *SMALL, *arguments]  # the last of two wins
        status = main(["segment", *map(str, options)])
        out, err = capsys.readouterr()
        assert out == ""
        return SimpleNamespace(status=status, err=err.splitlines())

    return run


def refused(result: SimpleNamespace, *words: str) -> None:
    """One line on stderr with these words, in this order, and exit status 2."""
    assert result.status == 2
    (line,) = result.err
    place = 0
    for word in words:
        assert word in line[place:]
        place = line.index(word, place)


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*")) if folder.is_dir() else []


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that says it is this large and has hardly any content, as a decompression bomb does."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


PICTURE = Image.fromarray(PIXELS)
PNG, JPEG = encoded(PICTURE, "PNG"), encoded(PICTURE, "JPEG")

# ---------------------------------------------------------------------------------------------------- damaged pictures


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(PNG[: len(PNG) // 2], "incomplete", id="truncated PNG"),
        pytest.param(JPEG[: len(JPEG) // 2], "incomplete", id="truncated JPEG"),
        pytest.param(encoded(PICTURE, "WEBP")[:500], "", id="truncated WebP"),
        pytest.param(encoded(PICTURE, "GIF")[:1500], "incomplete", id="truncated GIF"),
        pytest.param(PNG[:100] + bytes(100) + PNG[200:], "damaged", id="damaged PNG"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"dear diary", "not a picture", id="text"),
        pytest.param(b"%PDF-1.7 dear diary", "not a picture", id="PDF"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture", id="SVG"),
        pytest.param(encoded(Image.new("F", (9, 9)), "TIFF"), "floating point", id="floating point TIFF"),
        pytest.param(png_of_size(20_000, 15_000), "300,000,000 pixels, more than the limit of 200,000,000", id="bomb"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_file_that_is_no_good_picture(segment: Run, tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    refused(segment(path), f"esg: {path}", words)
    assert left_over(tmp_path / "out") == []


def test_a_missing_photo(segment: Run, tmp_path: Path) -> None:
    refused(segment(tmp_path / "photo.jpg"), "photo.jpg does not exist")
    assert left_over(tmp_path / "out") == []


def test_a_folder_without_photos(segment: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    refused(segment(tmp_path / "in"), "There are no pictures", str(tmp_path / "in"))
    assert left_over(tmp_path / "out") == []


def test_a_folder_without_photos_among_others(segment: Run, tmp_path: Path, path: Path) -> None:
    (tmp_path / "in").mkdir()
    result = segment(tmp_path / "in", path, "--save", "labels")
    assert (result.status, result.err[1:]) == (2, [f"esg: The folder {tmp_path / 'in'} holds no pictures."])
    assert left_over(tmp_path / "out") == ["photo.labels.png"]


def test_max_pixels_moves_the_limit(segment: Run, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    refused(segment(path, "--max-pixels", 2399), "2,400 pixels", "limit of 2,399", "--max-pixels")
    assert left_over(tmp_path / "out") == []
    assert segment(path, "--max-pixels", 2400).status == 0


def test_a_bomb_is_not_decoded(segment: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of_size(20_000, 15_000))
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was decoded"))
    refused(segment(path, "--max-pixels", 299_999_999), "limit of 299,999,999")


def test_too_long_for_a_jpeg(segment: Run, tmp_path: Path) -> None:
    path = tmp_path / "strip.png"
    Image.new("L", (65_501, 1)).save(path)
    refused(segment(path), "65,501 pixels long", "--save labels,coco")
    assert left_over(tmp_path / "out") == []
    assert segment(path, "--save", "labels,coco").status == 0


# ------------------------------------------------------------------------------------------------ odd but good pictures


def rotated(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(PICTURE, "JPEG", exif=exif)


@pytest.mark.parametrize(
    ("content", "size"),
    [
        pytest.param(encoded(Image.new("RGB", (1, 1)), "PNG"), (1, 1), id="1x1"),
        pytest.param(encoded(Image.new("RGB", (1, 20_000)), "PNG"), (20_000, 1), id="1x20000"),
        pytest.param(encoded(Image.new("RGB", (20_000, 1)), "PNG"), (1, 20_000), id="20000x1"),
        pytest.param(PNG, (40, 60), id="mislabelled PNG"),
        pytest.param(encoded(PICTURE.convert("RGBA"), "PNG"), (40, 60), id="alpha"),
        pytest.param(encoded(PICTURE.convert("LA"), "PNG"), (40, 60), id="grey with alpha"),
        pytest.param(encoded(PICTURE.convert("P"), "PNG"), (40, 60), id="palette"),
        pytest.param(encoded(PICTURE.convert("P"), "PNG", transparency=bytes(9)), (40, 60), id="transparent palette"),
        pytest.param(encoded(PICTURE.convert("CMYK"), "JPEG"), (40, 60), id="CMYK"),
        pytest.param(encoded(PICTURE.convert("L"), "JPEG"), (40, 60), id="greyscale"),
        pytest.param(encoded(PICTURE.convert("1"), "PNG"), (40, 60), id="black and white"),
        pytest.param(
            encoded(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), "PNG"), (40, 60), id="16 bit grey"
        ),
        pytest.param(rotated(3), (40, 60), id="upside down"),
        pytest.param(rotated(6), (60, 40), id="on its side"),
    ],
)
def test_an_odd_picture_is_segmented(segment: Run, tmp_path: Path, content: bytes, size: tuple[int, int]) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    result = segment(path)
    assert result.status == 0
    assert len(result.err) == 1
    assert EntityMap.from_labels_png(tmp_path / "out/photo.labels.png").labels.shape == size
    coco = EntityMap.from_coco(tmp_path / "out/photo.entities.json")
    assert (coco.height, coco.width) == size
    assert read_image(tmp_path / "out/photo.overlay.jpg").shape == (*size, 3)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animated_picture_the_first_frame_is_taken(segment: Run, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "moving.gif"
    frames = [Image.fromarray(np.roll(PIXELS, shift, axis=0)) for shift in (0, 7, 19)]
    path.write_bytes(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    result = segment(path)
    assert result.status == 0
    assert "first one is taken" in result.err[0]
    assert EntityMap.from_labels_png(tmp_path / "out/moving.labels.png").labels.shape == (40, 60)


# ------------------------------------------------------------------------------------------------- arrays, from Python


@pytest.fixture(scope="module")
def segmenter(tiny_model: Path) -> EntitySegmenter:
    return EntitySegmenter.from_pretrained(tiny_model, device="cpu")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((8, 8, 3), np.nan), "uint8 .*, not float64"),
        (PIXELS / np.float32(255), r"not float32; convert .* 255"),
        (PIXELS.astype(np.int64), "not int64"),
        (PIXELS > 9, "not bool"),
        (PIXELS.astype(object), "not object"),
        (PIXELS.transpose(2, 0, 1), r"array\.transpose\(1, 2, 0\)"),
        (PIXELS[None], r"not \(1, 40, 60, 3\)"),
        (np.zeros((8, 8, 2), np.uint8), r"not \(8, 8, 2\)"),
        (np.zeros(8, np.uint8), r"not \(8,\)"),
        (np.zeros((0, 8, 3), np.uint8), "no pixels"),
        (torch.zeros(3, 8, 8), "not Tensor"),
        (None, "not NoneType"),
        (7, "not int"),
        (b"\x89PNG", "not bytes"),
    ],
)
def test_an_array_that_is_no_picture(segmenter: EntitySegmenter, array: Any, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        segmenter(array)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crops": 5}, "0, 4 or 8"),
        ({"crops": 5, "fusion": "io"}, "0, 4 or 8"),
        ({"fusion": "all"}, "boc"),
        ({"fusion": "bc", "crops": 0}, "there are none"),
        ({"views_at_once": 0}, "at least one view"),
        ({"size": -1}, "size is -1, .* at least 32"),
    ],
)
def test_an_option_that_is_wrong(segmenter: EntitySegmenter, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        segmenter(PIXELS, **options)


# ------------------------------------------------------------------------------------------------- the output folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good photo."""
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    return path


@pytest.fixture
def without_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong has to be noticed before the model is loaded."""
    monkeypatch.setattr(EntitySegmenter, "from_pretrained", lambda *_, **__: pytest.fail("the model was loaded"))


@pytest.mark.usefixtures("without_model")
@pytest.mark.parametrize("place", ["out", "out/below"])
def test_a_file_in_the_place_of_the_output_folder(segment: Run, tmp_path: Path, path: Path, place: str) -> None:
    (tmp_path / "out").write_text("precious")
    refused(segment(path, "--out", tmp_path / place), "output folder", str(tmp_path / place), "choose another")
    assert (tmp_path / "out").read_text() == "precious"


@pytest.mark.usefixtures("without_model")
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root can write to: /proc")
def test_an_output_folder_that_may_not_be_written_to(segment: Run, path: Path) -> None:
    refused(segment(path, "--out", "/proc/self"), "output folder /proc/self", "choose another")


def test_a_folder_in_the_place_of_a_result(segment: Run, tmp_path: Path, path: Path) -> None:
    (tmp_path / "out/photo.labels.png").mkdir(parents=True)
    refused(segment(path), str(tmp_path / "out/photo.labels.png"), "a folder lies in its place")
    assert left_over(tmp_path / "out") == ["photo.labels.png"]


def test_a_file_in_the_place_of_the_masks(segment: Run, tmp_path: Path, path: Path) -> None:
    """Neither the files that could be written come, nor the folders that were made for them."""
    (tmp_path / "in/sub").mkdir(parents=True)
    path.rename(tmp_path / "in/sub/photo.png")
    (tmp_path / "out/sub").mkdir(parents=True)
    (tmp_path / "out/sub/photo.masks").write_text("precious")
    result = segment(tmp_path / "in", "--save", "overlay,labels,coco,masks")
    refused(result, str(tmp_path / "out/sub/photo.masks"), "cannot be written")
    assert left_over(tmp_path / "out") == ["photo.masks", "sub"]
    assert (tmp_path / "out/sub/photo.masks").read_text() == "precious"


def test_a_move_that_fails_is_undone(segment: Run, tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in/sub").mkdir(parents=True)
    path.rename(tmp_path / "in/sub/photo.png")
    (tmp_path / "out/sub/photo.masks").mkdir(parents=True)
    (tmp_path / "out/sub/photo.labels.png").write_text("earlier")
    (tmp_path / "out/sub/photo.masks/99.png").write_text("stale")
    before = left_over(tmp_path / "out")
    replace = Path.replace

    def fails(self: Path, target: Path) -> Path:
        if target == tmp_path / "out/sub/photo.masks/1.png":  # the last kind to be moved
            raise PermissionError(errno.EACCES, "Permission denied", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    result = segment(tmp_path / "in", "--save", "overlay,labels,coco,masks")
    refused(result, str(tmp_path / "out/sub/photo.masks"), "permission denied")
    assert left_over(tmp_path / "out") == before
    assert (tmp_path / "out/sub/photo.labels.png").read_text() == "earlier"
    assert (tmp_path / "out/sub/photo.masks/99.png").read_text() == "stale"


def test_a_photo_that_cannot_be_written_does_not_stop_the_others(segment: Run, tmp_path: Path, path: Path) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(PNG)
    (tmp_path / "out/photo.labels.png").mkdir(parents=True)
    result = segment(path, other, "--save", "labels")
    assert result.status == 2
    assert "a folder lies in its place" in result.err[0]
    assert result.err[2:] == [f"esg: The files of 1 of 2 photos could not be written: {path}"]
    assert left_over(tmp_path / "out") == ["other.labels.png", "photo.labels.png"]


def test_what_was_not_segmented_and_what_was_not_written_are_told_apart(
    segment: Run, tmp_path: Path, path: Path
) -> None:
    (tmp_path / "out/photo.labels.png").mkdir(parents=True)
    result = segment(path, tmp_path / "missing.jpg", "--save", "labels")
    assert result.status == 2
    assert result.err[2:] == [
        f"esg: 1 of 2 photos could not be segmented: {tmp_path / 'missing.jpg'}",
        f"esg: The files of 1 of 2 photos could not be written: {path}",
    ]


@pytest.mark.parametrize("reason", ["full", "read-only"])
def test_an_output_that_takes_no_more_ends_the_run(
    segment: Run, tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(PNG)

    def fails(self: EntityMap, *_: object) -> None:
        if reason == "full":
            raise OutputError("The disk is full.") from OSError(errno.ENOSPC, "No space left on device")
        monkeypatch.setattr("tempfile.TemporaryFile", read_only)
        raise OutputError("It cannot be written.") from OSError(errno.EROFS, "Read-only file system")

    def read_only(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(EntityMap, "save_labels_png", fails)
    result = segment(path, other, "--save", "labels")
    assert result.status == 2
    assert ("disk is full" if reason == "full" else "(read-only file system)") in result.err[-1]
    assert not any("other.png" in line for line in result.err)
    assert left_over(tmp_path / "out") == []


@pytest.mark.parametrize("kind", ["labels", "overlay", "coco", "masks"])
def test_a_full_disk(segment: Run, tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The last of the files does not fit any more: those before it go too, and earlier results stay."""
    assert segment(path, "--save", "labels").status == 0
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
    result = segment(path, "--save", f"{first},{kind}")
    refused(result, str(tmp_path / "out/photo."), "the disk is full", "choose another folder")
    assert ".esg-" not in result.err[0]
    assert len(writes) == 2
    assert left_over(tmp_path / "out") == ["photo.labels.png"]
    assert (tmp_path / "out/photo.labels.png").read_bytes() == earlier


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the file size are a matter of Unix")
def test_a_real_write_error(segment: Run, tmp_path: Path, path: Path) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # bytes: the labels fit, the overlay does not
    try:
        result = segment(path, "--save", "labels,overlay")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    refused(result, "photo.overlay.jpg cannot be written", "too large")
    assert left_over(tmp_path / "out") == []


# ------------------------------------------------------------------------------------------------------------ the model


class Hostile:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("cropformer-nanoo", ("no model or file called 'cropformer-nanoo'", "did you mean cropformer-nano")),
        ("cropformer-swin-tiny", ("not on this machine", "esg weights download cropformer-swin-tiny")),
        ("weights/mine.pth", ("There is no file", "mine.pth")),
    ],
)
def test_a_model_that_is_not_there(
    segment: Run, tmp_path: Path, path: Path, model: str, words: tuple[str, ...]
) -> None:
    refused(segment(path, "--model", model), *words)
    assert left_over(tmp_path / "out") == []


def other_architecture(path: Path, tiny: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path)


def incomplete(path: Path, tiny: Path) -> None:
    from safetensors import safe_open

    with safe_open(tiny, "pt") as file:
        metadata = file.metadata()
    state = load_file(tiny)
    del state["decoder.norm.weight"]
    save_file(state, path, metadata)


def class_aware(path: Path, tiny: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path, {"preset": "mask2former-semantic-r50"})


def cut_short(path: Path, tiny: Path) -> None:
    path.write_bytes(tiny.read_bytes()[:5000])


def another_program(path: Path, tiny: Path) -> None:
    torch.save({"model": {"sem_seg_head.strange": torch.zeros(3)}}, path)


def hostile(path: Path, tiny: Path) -> None:
    torch.save({"model": Hostile(path.with_name("harm"))}, path)


def hostile_plain(path: Path, tiny: Path) -> None:
    path.write_bytes(pickle.dumps(Hostile(path.with_name("harm"))))


def web_page(path: Path, tiny: Path) -> None:
    path.write_text("<!doctype html><title>Log in</title>")


def pointer(path: Path, tiny: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (other_architecture, "fits no model"),
        (incomplete, "lacks decoder.norm.weight"),
        (class_aware, "does not fit this model"),
        (cut_short, "damaged or incomplete"),
        (another_program, "sem_seg_head.strange"),
        (hostile, "carries more than weights"),
        (hostile_plain, "not readable as weights"),
        (web_page, "is a web page"),
        (pointer, "git lfs pull"),
    ],
)
def test_a_wrong_checkpoint(
    segment: Run, tmp_path: Path, path: Path, tiny_model: Path, make: Callable[[Path, Path], None], words: str
) -> None:
    weights = tmp_path / "weights.pth"
    make(weights, tiny_model)
    refused(segment(path, "--model", weights), words)
    assert left_over(tmp_path / "out") == []
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("command", ["convert", "verify"])
@pytest.mark.parametrize("make", [other_architecture, cut_short, another_program, hostile, web_page])
def test_wrong_weights_for_the_other_commands(
    tmp_path: Path,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    make: Callable[[Path, Path], None],
) -> None:
    weights = tmp_path / "weights.pth"
    make(weights, tiny_model)
    options = ["--out", str(tmp_path / "out.safetensors")] if command == "convert" else []
    status = main(["weights", command, str(weights), *options])
    refused(SimpleNamespace(status=status, err=capsys.readouterr().err.splitlines()), "esg: ")
    assert left_over(tmp_path) == ["weights.pth"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--device", "tpu9"), "device 'tpu9' cannot be used"),
        (("--device", "meta"), "device 'meta' cannot be used"),
        (("--precision", "fp16"), "fp16 is for GPUs"),
        (("--fusion", "bc", "--crops", 0), "there are none"),
    ],
)
def test_options_that_do_not_go_together(
    segment: Run, tmp_path: Path, path: Path, options: tuple[object, ...], words: str
) -> None:
    refused(segment(path, path, *options), words)
    assert left_over(tmp_path / "out") == []


def test_a_full_disk_while_converting(
    tmp_path: Path,
    tiny_model: Path,
    tiny_preset: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    status = main(["weights", "convert", str(tiny_model), "--out", str(tmp_path / "out.safetensors")])
    refused(SimpleNamespace(status=status, err=capsys.readouterr().err.splitlines()), "the disk is full")
    assert left_over(tmp_path) == []
