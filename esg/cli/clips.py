"""Clips in `esg segment`: the files of a video, an animated GIF or a folder of frames, written frame by frame."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..entities.class_names import UNNAMED, category_ids
from ..support.errors import OutputError
from .arguments import fraction, whole
from .console import counted
from .job import Job, UnusablePhoto
from .results import replaced, save_together

if TYPE_CHECKING:
    import numpy as np

    from ..entities.tracking import Track, TrackedFrame
    from ..pictures.clips import ClipFile, Frame

ENDINGS = {"overlay": (".overlay.mp4", ".overlay"), "labels": (".labels",), "coco": (".tracks.json",)}
LARGEST_ID = 65535  # of a 16-bit PNG

AddFrame = Callable[["Frame", "TrackedFrame"], None]


@dataclass(frozen=True)
class Following:
    """How entities are followed through a clip.

    Attributes:
        stride: only every n-th frame is used.
        min_overlap: minimum IoU with an earlier frame.
        patience: number of frames that an entity may be missing from.
        share: number of frames that are segmented together.
    """

    stride: int
    min_overlap: float
    patience: int
    share: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options about clips."""
    clips = parser.add_argument_group("clips")
    clips.add_argument(
        "--clip",
        action="store_true",
        help="treat every folder you give as a clip whose pictures are the frames, in the order of the numbers in "
        "their names",
    )
    clips.add_argument("--stride", type=whole(1), default=1, metavar="N", help="use every N-th frame [1]")
    clips.add_argument(
        "--min-overlap",
        type=fraction,
        default=0.3,
        metavar="IOU",
        help="minimum overlap with an earlier frame to follow an entity; lower values follow faster things, but may "
        "confuse neighbours [0.3]",
    )
    clips.add_argument(
        "--patience",
        type=whole(0),
        default=2,
        metavar="N",
        help="number of consecutive frames for which an entity may be missing without losing its number [2]",
    )
    clips.add_argument(
        "--share",
        type=whole(1),
        default=1,
        metavar="N",
        help="number of consecutive frames that are segmented together, with the same queries, and without crops; "
        "docs/how-it-works.md says how well this works [1: each frame by itself]",
    )


def following_of(args: argparse.Namespace) -> Following:
    """The options of `add_options`, except --clip."""
    return Following(args.stride, args.min_overlap, args.patience, args.share)


def look(path: Path, kinds: Sequence[str], stride: int, max_pixels: int) -> list[str]:
    """Checks a clip before the work; returns the endings of its result names.

    Raises:
        ImageError: the clip cannot be used.
        UnusablePhoto: these kinds of files do not exist for clips.
    """
    from ..pictures.clips import ClipFile

    ClipFile(path, stride=stride, max_pixels=max_pixels)
    if wrong := [kind for kind in kinds if kind not in ENDINGS]:
        raise UnusablePhoto(
            f"{path}: {', '.join(wrong)} cannot be written for a clip; use --save with {', '.join(ENDINGS)} only."
        )
    return [ending for kind in kinds for ending in ENDINGS[kind]]


def segment(
    job: Job, track: Callable[..., Iterator[TrackedFrame]], following: Following, kinds: Sequence[str], out: Path
) -> str:
    """Segments a clip and writes its files: all of them, or none. Returns a line about the result.

    Args:
        job: the clip.
        track: `EntitySegmenter.track`, with its options for single frames.
        following: which frames are used, and how entities are followed through them.
        kinds: kinds of files, of `ENDINGS`.
        out: output folder.

    Raises:
        ImageError, UnusablePhoto: the clip cannot be used.
        OutputError: the files cannot be written.
    """
    from ..entities.tracking import Tracker
    from ..pictures.clips import ClipFile

    begin = time.monotonic()
    photo = job.photo
    clip = ClipFile(photo.path, stride=following.stride, max_pixels=job.max_pixels)
    tracker = Tracker(min_iou=following.min_overlap, patience=following.patience)
    waiting: list[Frame] = []  # read, but not yet segmented
    done = 0

    def frames() -> Iterator[np.ndarray]:
        for frame in clip:
            waiting.append(frame)
            yield frame.pixels

    def progress(stage_done: int, total: int, stage: str) -> None:
        of = f"/{clip.count}" if clip.count else ""
        job.now(f"frame {done + 1}{of}, {stage} {stage_done}/{total}")

    def write(stem: Path) -> None:
        nonlocal done
        with job.about(), ExitStack() as stack:
            writers = [stack.enter_context(_WRITERS[kind](clip, stem, lambda: tracker.tracks)) for kind in kinds]
            for tracked in track(frames(), tracker=tracker, share=following.share, progress=progress):
                frame = waiting.pop(0)
                for add in writers:
                    add(frame, tracked)
                done += 1

    places = [out / f"{photo.name}{ending}" for kind in kinds for ending in ENDINGS[kind]]
    stale = [path for place in places for path in (place, *place.glob("*.*")) if path.is_file()]
    before = save_together(out, photo.name, write, stale)
    return (
        f"{counted(done, 'frame')}, {counted(len(tracker.tracks), 'track')} in "
        f"{time.monotonic() - begin:.1f} s -> {out / photo.name}.*{replaced(before)}"
    )


@contextmanager
def _overlay(clip: ClipFile, stem: Path, tracks: Callable[[], tuple[Track, ...]]) -> Iterator[AddFrame]:
    """A video for a video, and pictures for an animation or a folder."""
    from ..drawing.overlay import overlay
    from ..pictures.clips import write_video
    from ..pictures.reading import write_image

    def drawn(frame: Frame, tracked: TrackedFrame) -> np.ndarray:
        named = zip(tracked.ids, tracked.entities.names)
        texts = [f"{number} {name}" if name else "" for number, name in named]
        return overlay(frame.pixels, tracked.entities, numbers=True, shown_as=tracked.ids, texts=texts)

    if clip.kind == "video":
        with write_video(Path(f"{stem}.overlay.mp4"), clip.rate) as add:
            yield lambda frame, tracked: add(drawn(frame, tracked))
    else:
        yield lambda frame, tracked: write_image(
            f"{stem}.overlay/{frame.name}.jpg", drawn(frame, tracked), quality=92, subsampling=0
        )


@contextmanager
def _labels(clip: ClipFile, stem: Path, tracks: Callable[[], tuple[Track, ...]]) -> Iterator[AddFrame]:
    """One 16-bit PNG per frame, pixel = track."""
    import numpy as np

    from ..pictures.reading import write_image

    def add(frame: Frame, tracked: TrackedFrame) -> None:
        if tracked.ids.max(initial=0) > LARGEST_ID:
            raise OutputError(
                f"{clip.path} has more than {LARGEST_ID:,} tracks, which a 16-bit PNG cannot number; "
                "raise --min-score or --min-area, or cut the clip into parts."
            )
        write_image(f"{stem}.labels/{frame.name}.png", tracked.labels.astype(np.uint16))

    yield add


@contextmanager
def _tracks(clip: ClipFile, stem: Path, tracks: Callable[[], tuple[Track, ...]]) -> Iterator[AddFrame]:
    """COCO JSON with an image per frame and a track for every annotation; written as the frames come."""
    images: list[dict[str, Any]] = []
    names: dict[str | None, None] = {}  # in the order of their first use
    written = 0
    path = Path(f"{stem}.tracks.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.write('{"annotations":[')

        def add(frame: Frame, tracked: TrackedFrame) -> None:
            nonlocal written
            names.update(dict.fromkeys(tracked.entities.names))
            categories = category_ids(names)
            made = tracked.entities.to_coco(image_id=frame.number + 1, file_name=frame.file_name)
            images.append({**made["images"][0], "video_id": 1, "frame_index": frame.number, "time": frame.time})
            for one, track, name in zip(made["annotations"], tracked.ids.tolist(), tracked.entities.names):
                written += 1
                entry = {**one, "id": written, "track_id": track, "category_id": categories[name or UNNAMED]}
                file.write(f"{',' if written > 1 else ''}\n{_json(entry)}")

        yield add
        categories = category_ids(names)
        used = [image["frame_index"] for image in images]
        video = {"id": 1, "name": clip.path.name, "fps": None if clip.rate is None else round(float(clip.rate), 3)}
        _end(
            file,
            images=images,
            tracks=[
                {
                    "id": track.id,
                    "video_id": 1,
                    "category_id": categories[track.name or UNNAMED],
                    "first_frame": used[track.first],
                    "last_frame": used[track.frames[-1]],
                    "frames": len(track.frames),
                    "score": round(track.score, 4),
                }
                for track in tracks()
            ],
            videos=[video | {key: images[0][key] for key in ("width", "height")} if images else video],
            categories=[{"id": number, "name": name} for name, number in categories.items()],
        )


def _end(file: TextIO, **lists: list[dict[str, Any]]) -> None:
    for key, entries in lists.items():
        lines = ",\n".join(map(_json, entries))
        file.write(f'],\n"{key}":[\n{lines}')
    file.write("]}\n")


def _json(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"))


_WRITERS = {"overlay": _overlay, "labels": _labels, "coco": _tracks}
