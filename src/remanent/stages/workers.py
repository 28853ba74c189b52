"""Work on many sessions at once, in order: processes of this machine, or a Dask cluster."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Self, TypeVar

from remanent._errors import InputError
from remanent.stages.cluster import Cluster

MOST_AT_ONCE = 8  # sessions a worker takes at a time: what a run that is killed has to do again

T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """Processes for one stage, started when they are first needed; with one, everything is done here."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results of `work` in the order of `items`, the same whatever the number of workers.

        Raises
        ------
        InputError
            The system ended a worker.
        """
        if self._count <= 1 or len(items) <= 1:
            yield from map(work, items)
            return
        self._pool = self._pool or ProcessPoolExecutor(
            self._count, mp_context=get_context("spawn"), initializer=_end_with_the_run
        )
        try:
            at_once = max(1, min(MOST_AT_ONCE, len(items) // (8 * self._count)))
            yield from self._pool.map(work, items, chunksize=at_once)
        except BrokenProcessPool as error:
            why = "The system ends processes that take too much memory; what was measured so far is kept"
            do = "Run the same command again with fewer --workers."
            raise InputError("a process that measures sessions was killed", why=why, do=do) from error


def _end_with_the_run() -> None:
    """A worker whose run was killed would wait for work for ever, and keep its memory."""

    def watch() -> None:
        run = parent_process()
        if run is not None:
            run.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


def many(count: int, cluster: str) -> Workers | Cluster:
    """Those of a cluster if its address is given, else processes of this machine."""
    return Cluster(cluster) if cluster else Workers(count)


def largest_memory_mb() -> float:
    """Largest resident memory of this process so far (MB); NaN where the system does not tell."""
    try:
        import resource
    except ImportError:
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
