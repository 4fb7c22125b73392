"""Work on many files at once."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Job = TypeVar("Job")
Answer = TypeVar("Answer")


class WorkerError(RuntimeError):
    """A process that was at work died."""

    exit_code = 1


def in_processes(run: Callable[[Job], Answer], jobs: Sequence[Job], workers: int) -> Iterator[Answer]:
    """What `run` makes of each job, in up to so many processes, as they come; in this process with one worker.

    Errors are those of `run`, and WorkerError where a process died. The processes end with this one, and at once where
    it stops for an error or a signal.
    """
    workers = min(workers, max(len(jobs), 1))
    if workers == 1:
        yield from map(run, jobs)
        return
    # More threads than workers only get into each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        # A terminal's Ctrl-C reaches all processes, of which this one alone decides: the others inherit the mask.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            answers = [pool.submit(run, job) for job in jobs]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            for answer in as_completed(answers):
                yield answer.result()
        except BrokenProcessPool:
            raise WorkerError(
                "a process that was at work died, as a rule for want of memory: take fewer --workers; what has been "
                "written stays, and the same command goes on from there"
            ) from None
        except BaseException:
            for process in set(multiprocessing.active_children()) - set(others):
                process.terminate()
            pool.shutdown(cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
