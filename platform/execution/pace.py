"""The size of a shard: so many images as take some 45 seconds, by what finished shards took."""

from typing import NamedTuple

SHARD_SECONDS = 45.0  # long against what a shard costs beside its work, and soon made again
SHARD_BYTES = 256_000_000  # of pixels, which a worker holds until its shard is written
SHARDS_LEFT = 2  # for each worker, so that near the end nobody waits long for the last


class Speed(NamedTuple):
    """What a shard took."""

    images: int
    seconds: float
    size_bytes: int  # of pixels


class Pace:
    """Learns how long an image takes by device, model and recipe; a shard is whole batches."""

    def __init__(self, batch_size: int, workers: int) -> None:
        self.batch_size, self.workers = batch_size, workers
        self._speeds: dict[tuple[str, str, str], Speed] = {}

    def learn(self, device: str, model: str, recipe_id: str, speed: Speed) -> None:
        """Take what the last shard of a kind took as what the next one will."""
        if speed.images and speed.seconds > 0:
            self._speeds[device, model, recipe_id] = speed

    def size(self, device: str, model: str, recipe_id: str, left: int) -> int:
        """Return the images of the next shard: one batch where nothing was measured.

        `left` are the images that the whole run still has to give out.
        """
        speed = self._speeds.get((device, model, recipe_id))
        if speed is None:
            return self.batch_size
        by_time = SHARD_SECONDS * speed.images / speed.seconds
        by_bytes = SHARD_BYTES * speed.images / max(speed.size_bytes, 1)
        by_rest = left / (SHARDS_LEFT * self.workers)
        return max(1, int(min(by_time, by_bytes, by_rest)) // self.batch_size) * self.batch_size
