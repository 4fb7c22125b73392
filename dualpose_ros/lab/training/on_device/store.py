"""Labelled images in the memory of the device that trains, filled from caches while training goes on.

A row is one training example as a dict of arrays of fixed shapes; a store holds rows of one kind. A mixture draws
batches from several stores, each for its share, and within one by the rows' own weights.
"""

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dualpose_ros.arrays import AnyArray
from dualpose_ros.datasets.cache import Shard, prescribed_split, read_shard, split_shards
from dualpose_ros.datasets.labels import LabelledImage
from dualpose_ros.lab.training.on_device.views import Draws

Rows = dict[str, AnyArray]
"""Arrays by name, all of the same length; `weight` among them says how often a row is drawn."""
ToRows = Callable[[LabelledImage], Sequence[Rows]]
"""Makes rows of length one from an image; none where there is nothing to learn."""

_POLL_S = 2.0

_log = logging.getLogger(__name__)


class RowStore:
    """Rows on a device, in tensors allocated once for `capacity` rows, or as many of them as `most_bytes` hold."""

    def __init__(self, capacity: int, device: torch.device | str, most_bytes: float = math.inf) -> None:
        self.capacity, self.device = capacity, torch.device(device)
        self._most_bytes = most_bytes
        self._tensors: dict[str, Tensor] = {}
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def add(self, rows: Rows) -> None:
        """Append rows as far as there is room."""
        if not self._tensors:
            self._fit(sum(values[:1].nbytes for values in rows.values()))
            for name, values in rows.items():
                like = torch.from_numpy(np.ascontiguousarray(values[:1]))
                shape = (self.capacity, *values.shape[1:])
                self._tensors[name] = torch.zeros(shape, dtype=like.dtype, device=self.device)
        count = min(len(rows["weight"]), self.capacity - self._used)
        for name, values in rows.items():
            part = torch.from_numpy(np.ascontiguousarray(values[:count]))
            self._tensors[name][self._used : self._used + count] = part.to(self.device)
        self._used += count

    def _fit(self, row_bytes: int) -> None:
        room = max(int(min(self._most_bytes / row_bytes, self.capacity)), 1)
        if room < self.capacity:
            gigabytes = self.capacity * row_bytes / 1e9
            _log.warning(
                "%d of up to %d images are learnt from: all would take %.1f GB on %s, and half of the free memory is "
                "used at the most; smaller stored images in the settings make room for more",
                room, self.capacity, gigabytes, self.device,
            )  # fmt: skip
        self.capacity = room

    def draw(self, count: int, draws: Draws) -> dict[str, Tensor]:
        """`count` rows by their weights, with replacement."""
        chosen = draws.choose(self._tensors["weight"][: self._used], count)
        return {name: values[chosen] for name, values in self._tensors.items()}


class ShardFeed:
    """Reads the training shards of a cache in the background, and those that appear later.

    The folder may still be empty. grow: look for more every few seconds; without it the shards that are there when
    the feed starts are all.
    """

    def __init__(self, folder: Path, to_rows: ToRows, store: RowStore, threads: int = 4, grow: bool = False) -> None:
        self.folder, self.store = folder, store
        self._to_rows, self._grow, self._threads = to_rows, grow, threads
        self._ready: queue.Queue[Rows | BaseException | None] = queue.Queue(maxsize=8)
        self._stop = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._read, name=f"shards of {folder.name}", daemon=True)
        self._thread.start()

    def take(self, wait: bool = False) -> None:
        """Move what has been read into the store; with `wait`, until the folder has been read whole."""
        while not self._ended and (wait or not self._ready.empty()):
            part = self._ready.get()
            if isinstance(part, BaseException):
                self._ended = True
                raise part
            if part is None:
                self._ended = True
            else:
                self.store.add(part)

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()

    def _read(self) -> None:
        done: set[Path] = set()
        try:
            with ThreadPoolExecutor(self._threads) as pool:
                while not self._stop.is_set():
                    for path in self._training_shards():
                        if path not in done and not self._stop.is_set():
                            done.add(path)
                            self._put(self._rows_of(read_shard(path), pool))
                    if not self._grow:
                        break
                    self._stop.wait(_POLL_S)
            self._put(None)
        except BaseException as error:  # handed to whoever takes
            self._put(error)

    def _training_shards(self) -> list[Path]:
        """Shards to learn from; of a growing folder all that were not written for validation."""
        if not self._grow:
            return split_shards(self.folder)[0]
        return [p for p in sorted(self.folder.glob("shard_*.npz")) if prescribed_split(p) != "validation"]

    def _rows_of(self, shard: Shard, pool: ThreadPoolExecutor) -> Rows:
        made = pool.map(lambda index: self._to_rows(shard.sample(index)), range(len(shard)))
        parts = [rows for many in made for rows in many]
        return join(parts) if parts else {}

    def _put(self, item: Rows | BaseException | None) -> None:
        if item is not None and not isinstance(item, BaseException) and not item:
            return
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=0.5)
                return
            except queue.Full:
                continue


class DeviceMixture:
    """Batches of rows from several feeds by shares."""

    def __init__(self, feeds: Sequence[tuple[ShardFeed, float]]) -> None:
        self.feeds = list(feeds)

    def __len__(self) -> int:
        return sum(len(feed.store) for feed, _ in self.feeds)

    def take(self, wait: bool = False) -> None:
        """See `ShardFeed.take`."""
        for feed, _ in self.feeds:
            feed.take(wait)

    def wait_for_some(self, timeout_s: float = 600.0) -> None:
        """Return once there are rows to draw; TimeoutError names the folders if none come."""
        end = time.monotonic() + timeout_s
        while len(self) == 0:
            self.take()
            if time.monotonic() > end:
                raise TimeoutError(f"no shards came in {', '.join(str(feed.folder) for feed, _ in self.feeds)}")
            time.sleep(0.05)

    def draw(self, count: int, draws: Draws) -> dict[str, Tensor]:
        """`count` rows: each feed's share of them, the feeds that are still empty left out."""
        filled = [(feed.store, share) for feed, share in self.feeds if len(feed.store)]
        counts = _portions([share for _, share in filled], count)
        parts = [store.draw(n, draws) for (store, _), n in zip(filled, counts, strict=True) if n]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def close(self) -> None:
        """Stop reading."""
        for feed, _ in self.feeds:
            feed.close()


def join(parts: Iterable[Rows]) -> Rows:
    """Rows end to end."""
    listed = list(parts)
    return {name: np.concatenate([part[name] for part in listed]) for name in listed[0]}


def _portions(shares: Sequence[float], count: int) -> list[int]:
    """Whole numbers in the proportions of `shares` that add up to `count`."""
    total = np.cumsum(np.asarray(shares, np.float64)) / sum(shares) * count
    edges = np.concatenate([[0], np.rint(total)]).astype(int)
    return [int(n) for n in np.diff(edges)]
