"""How a run is divided."""

from __future__ import annotations

import pytest

from esg.batch.shards import Shard, Source, divide, photos_per_shard, unique

PICTURES = [Source(f"/{number}.jpg", str(number)) for number in range(5)]
TAR = Source("/a.tar", "a", "tar")
PARQUET = Source("/a.parquet", "b", "parquet", (3, 3, 10, 1), "image")


def test_pictures_are_put_together_and_archives_stay_alone() -> None:
    shards = divide([PICTURES[0], TAR, *PICTURES[1:], PARQUET], 2, first=7)
    assert [shard.number for shard in shards] == [7, 8, 9, 10, 11, 12, 13, 14]
    assert [shard.photos for shard in shards] == [2, 2, 1, None, 3, 3, 10, 1]
    assert [source.name for shard in shards[:3] for source in shard.sources] == list("01234")
    assert shards[0].with_key("").name.startswith("part-000007-")
    assert len({shards[0].with_key("a").name, shards[0].with_key("b").name, shards[1].with_key("a").name}) == 3
    assert shards[0].with_key("a") == shards[0].with_key("a")


def test_small_row_groups_are_read_together() -> None:
    assert [shard.groups for shard in divide([PARQUET], 4)] == [(0, 2), (2, 3), (3, 4)]
    assert [shard.groups for shard in divide([PARQUET], 100)] == [(0, 4)]
    assert divide([Source("/empty.parquet", "c", "parquet", (), "image")], 4) == []


@pytest.mark.parametrize("shard", [Shard(3, tuple(PICTURES)), Shard(4, (PARQUET,), (1, 3))])
def test_a_shard_survives_json(shard: Shard) -> None:
    assert Shard.from_json(shard.to_json()) == shard
    assert "\n" not in shard.to_json()


@pytest.mark.parametrize(
    ("photos", "workers", "each"),
    [(1, 2, 1), (20, 2, 3), (200, 2, 16), (50_000, 2, 50), (10**9, 1000, 1000), (10_000, 1000, 3)],
)
def test_photos_per_shard(photos: int, workers: int, each: int) -> None:
    assert photos_per_shard(photos, workers) == each


def test_a_name_that_is_taken_gets_a_number() -> None:
    sources = [Source("/x/a.jpg", "a"), Source("/y/A.jpg", "A"), Source("/x/a.jpg", "a")]
    assert [source.name for source in unique(sources, ["a"])] == ["a-2", "A-3"]
