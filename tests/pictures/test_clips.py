"""Clips: the frames of videos, animated GIFs and folders, and videos that are written."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from short_clips import moving_square, turned_clockwise, write_clip

from esg import read_frames
from esg.pictures.clips import ClipFile, is_clip, write_video
from esg.support.errors import ImageError, InputError, OutputError


def close(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two frames are the same but for the losses of a codec."""
    return found.shape == expected.shape and np.abs(found.astype(int) - expected).mean() < 3


def write_gif(path: Path, count: int = 3) -> Path:
    first, *others = (Image.fromarray(frame) for frame in moving_square(count))
    first.save(path, save_all=True, append_images=others, duration=200)
    return path


def write_pictures(folder: Path, count: int, first: int = 8) -> Path:
    folder.mkdir()
    for number, frame in enumerate(moving_square(count), start=first):
        Image.fromarray(frame).save(folder / f"f{number}.png")
    return folder


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "mpeg4"), (".mov", "mpeg4"), (".avi", "mpeg4"), (".mkv", "mpeg4"), (".webm", "libvpx"), (".ts", "mpeg4")],
)
def test_videos(tmp_path: Path, suffix: str, codec: str) -> None:
    frames = moving_square(5)
    path = write_clip(tmp_path / f"clip{suffix}", frames, codec=codec)
    assert is_clip(path)
    read = list(ClipFile(path))
    assert [frame.number for frame in read] == [0, 1, 2, 3, 4]
    assert all(close(one.pixels, frame) for one, frame in zip(read, frames))
    assert [frame.name for frame in read[:2]] == ["000000", "000001"]


def test_a_video_says_its_length_and_rate(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", moving_square(5))
    clip = ClipFile(path, stride=2)
    assert (clip.kind, clip.count, clip.rate) == ("video", 3, Fraction(5))
    assert [(frame.number, frame.name, frame.time) for frame in clip] == [
        (0, "000000", 0.0),
        (2, "000002", 0.2),
        (4, "000004", 0.4),
    ]


def test_videos_of_phones_are_upright(tmp_path: Path) -> None:
    frame = np.zeros((32, 48, 3), np.uint8)
    frame[:16, :16] = 255  # top left, so top right when turned
    path = turned_clockwise(write_clip(tmp_path / "clip.mp4", [frame]))
    (read,) = read_frames(path)
    assert close(read, np.rot90(frame, -1))
    assert read.flags.c_contiguous


def test_gifs(tmp_path: Path) -> None:
    path = write_gif(tmp_path / "a.gif")
    assert is_clip(path)
    clip = ClipFile(path)
    assert (clip.kind, clip.count, clip.rate) == ("gif", 3, 5)
    assert [np.array_equal(one.pixels, frame) for one, frame in zip(clip, moving_square(3))] == [True] * 3
    assert [frame.time for frame in clip] == [0, 0.2, 0.4]
    Image.fromarray(moving_square(1)[0]).save(tmp_path / "still.gif")
    assert not is_clip(tmp_path / "still.gif")


def test_folders_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "frames", 4)  # f8, f9, f10, f11
    (folder / "f8.overlay.jpg").write_bytes(b"a result")
    (folder / "notes.txt").write_text("no picture")
    assert is_clip(folder, folders=True)
    assert not is_clip(folder)
    clip = ClipFile(folder)
    assert (clip.kind, clip.count, clip.rate) == ("folder", 4, None)
    assert [(frame.name, frame.file_name) for frame in clip] == [(f"f{k}", f"f{k}.png") for k in (8, 9, 10, 11)]
    assert np.array_equal(list(read_frames(folder, stride=3))[1], moving_square(4)[3])


def test_frames_of_the_same_name_keep_their_suffix(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "frames", 1)
    Image.fromarray(moving_square(1)[0]).save(folder / "f8.bmp")
    assert [frame.name for frame in ClipFile(folder)] == ["f8.bmp", "f8.png"]


def test_a_damaged_frame_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_pictures(tmp_path / "frames", 3)
    (folder / "f9.png").write_bytes(b"nothing")
    assert [frame.number for frame in ClipFile(folder)] == [0, 2]
    assert "f9.png is not a picture" in caplog.text
    assert "This frame is left out." in caplog.text


def test_a_damaged_video_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.ts", moving_square(12))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    read = list(read_frames(path))
    assert 1 <= len(read) < 12
    assert close(read[0], moving_square(1)[0])


def test_clips_that_cannot_be_used(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need PyAV")
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    for path, words in (
        (tmp_path / "text.mp4", "not a video that can be read, or it is damaged"),
        (tmp_path / "none.mp4", "does not exist"),
        (tmp_path / "empty", "does not contain any pictures, so it is not a clip"),
    ):
        with pytest.raises(ImageError, match=words):
            ClipFile(path)
    with pytest.raises(InputError, match="stride is 0"):
        ClipFile(tmp_path, stride=0)


def test_playlists_do_not_open_other_files(tmp_path: Path) -> None:
    write_clip(tmp_path / "secret.ts", moving_square(3))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "clip.mp4").write_text(playlist)
    with pytest.raises(ImageError, match="not a video that can be read"):
        ClipFile(tmp_path / "clip.mp4")


def test_large_frames_are_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", moving_square(2))
    with pytest.raises(ImageError, match="48x32 = 1,536 pixels, more than the limit of 1,535"):
        ClipFile(path, max_pixels=1535)


def test_without_pyav_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "clip.mp4").write_bytes(b"video")
    with pytest.raises(ImageError, match=r"is a video, which needs PyAV: pip install av, or .* 'esg\[video\]'"):
        ClipFile(tmp_path / "clip.mp4")


def test_a_video_that_is_written_can_be_read(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need PyAV")
    frames = [np.full((33, 45, 3), 40 * number, np.uint8) for number in range(4)]
    with write_video(tmp_path / "made.mp4", Fraction(5)) as add:
        for frame in frames:
            add(frame)
    clip = ClipFile(tmp_path / "made.mp4")
    assert (clip.count, clip.rate) == (4, 5)
    read = [frame.pixels for frame in clip]
    assert {pixels.shape for pixels in read} == {(34, 46, 3)}  # the codec needs even sides
    assert [round(float(pixels.mean()) / 40) for pixels in read] == [0, 1, 2, 3]


def test_a_video_is_written_completely_or_not_at_all(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need PyAV")

    def stop_in_the_middle() -> None:
        with write_video(tmp_path / "made.mp4", None) as add:
            add(moving_square(1)[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_in_the_middle()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="there is a file where its folder should be"),
        write_video(tmp_path / "file/made.mp4", None),
    ):
        pass
