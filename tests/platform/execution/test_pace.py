"""A shard is so much work as takes some 45 seconds, in whole batches."""

import pytest

from bakeoff.platform.execution.pace import SHARD_BYTES, Pace, Speed

KIND = ("gpu", "model", "recipe")
MANY = 10**9


def size(speed: Speed, left: int = MANY, batch_size: int = 16) -> int:
    pace = Pace(batch_size, workers=8)
    pace.learn(*KIND, speed)
    return pace.size(*KIND, left)


def test_what_was_never_measured_is_one_batch() -> None:
    pace = Pace(16, workers=8)
    pace.learn(*KIND, Speed(16, 1.0, 1))
    for other in (("cpu", *KIND[1:]), ("gpu", "m", "recipe"), (*KIND[:2], "r")):
        assert pace.size(*other, MANY) == 16


@pytest.mark.parametrize(
    ("seconds", "images"),
    [
        (0.05, 896),  # an image
        (0.5, 80),
        (2.0, 16),
        (8.38, 16),  # a batch is not cut
    ],
)
def test_a_shard_takes_at_most_45_seconds_if_it_is_more_than_a_batch(
    seconds: float, images: int
) -> None:
    assert size(Speed(32, 32 * seconds, 32)) == images
    assert size(Speed(1, seconds, 1)) == images


def test_a_shard_holds_no_more_pixels_than_a_worker_should() -> None:
    picture = 1024 * 1024 * 3
    found = size(Speed(16, 0.01, 16 * picture))
    assert SHARD_BYTES - 16 * picture < found * picture <= SHARD_BYTES
    assert size(Speed(16, 0.01, 16 * SHARD_BYTES)) == 16


def test_shards_shrink_to_a_batch_while_the_work_runs_out() -> None:
    speed = Speed(16, 0.16, 1)  # 4500 images in 45 seconds
    assert [size(speed, left) for left in (10**6, 16_000, 1_600, 160, 0)] == [4496, 992, 96, 16, 16]


def test_the_last_shard_counts_and_one_without_images_does_not() -> None:
    pace = Pace(1, workers=1)
    for speed in (Speed(10, 10.0, 10), Speed(10, 90.0, 10), Speed(0, 5.0, 0)):
        pace.learn(*KIND, speed)
    assert pace.size(*KIND, MANY) == 5
