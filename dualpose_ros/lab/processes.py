"""Work on many files at once."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Job = TypeVar("Job")
Answer = TypeVar("Answer")


def in_processes(run: Callable[[Job], Answer], jobs: Sequence[Job], workers: int) -> Iterator[Answer]:
    """What `run` makes of each job, in up to so many processes, as they come; in this process with one worker."""
    workers = min(workers, max(len(jobs), 1))
    if workers == 1:
        yield from map(run, jobs)
        return
    # More threads than workers only get into each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(run, jobs)
