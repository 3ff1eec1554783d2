"""Small pictures, archives of them, and runs in this process."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from halves import halves, picture

from esg.batch.settings import Settings
from esg.batch.shards import Shard
from esg.batch.worker import Worker


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with 20 pictures, 3.png of which is damaged."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(20):
        picture(number % 11 + 1).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"not a picture")
    return folder


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """A WebDataset tar with two pictures and their labels."""
    path = tmp_path / "photos-000.tar"
    with tarfile.open(path, "w") as archive:
        for number in (5, 6):
            content = io.BytesIO()
            picture(number).save(content, "PNG")
            for name, data in ((f"a/{number}.png", content.getvalue()), (f"a/{number}.cls", b"1")):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """A Parquet file in the form of Hugging Face, with five pictures in row groups of two; the last one is missing."""
    pa = pytest.importorskip("pyarrow", reason="Parquet files need pyarrow, which comes with esg[batch]")
    import pyarrow.parquet as pq

    rows: list[Any] = []
    for number in range(1, 5):
        content = io.BytesIO()
        picture(number).save(content, "PNG")
        rows.append({"bytes": content.getvalue(), "path": None})
    path = tmp_path / "photos.parquet"
    pq.write_table(pa.table({"label": [0] * 5, "image": [*rows, None]}), path, row_group_size=2)
    return path


@pytest.fixture
def compute(tmp_path: Path) -> Callable[..., Any]:
    """Computes shards here, one after the other, as `run` of `cluster` does with workers."""

    def make(settings: Settings, find: Any = halves, out: str = str(tmp_path / "out")) -> Any:
        def work(shards: list[Shard]) -> Any:
            worker = Worker(settings, out, find)
            return (worker(shard) for shard in shards)

        return work

    return make


@pytest.fixture
def table() -> Callable[..., list[dict[str, Any]]]:
    """The rows of a table in an output folder, sorted by photo."""
    dataset = pytest.importorskip("pyarrow.dataset", reason="tables need pyarrow, which comes with esg[batch]")

    def read(folder: Path, name: str = "entities") -> list[dict[str, Any]]:
        if not (folder / name).is_dir():
            return []
        return sorted(dataset.dataset(folder / name).to_table().to_pylist(), key=lambda row: row["photo"])

    return read
