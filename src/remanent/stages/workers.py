"""Work on many sessions at once, in order, on this machine."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from remanent._errors import InputError

MOST_AT_ONCE = 8  # sessions a worker takes at a time: what a run that is killed has to do again

T = TypeVar("T")
R = TypeVar("R")


def mapped(work: Callable[[T], R], items: Sequence[T], workers: int) -> Iterator[R]:
    """Results of `work` in the order of `items`, the same whatever the number of workers.

    Raises
    ------
    InputError
        The system ended a worker.
    """
    if workers <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(work, items, chunksize=max(1, min(MOST_AT_ONCE, len(items) // (8 * workers))))
        except BrokenProcessPool as error:
            why = "The system ends processes that take too much memory; what was measured so far is kept"
            do = "Run the same command again with fewer --workers."
            raise InputError("a process that measures sessions was killed", why=why, do=do) from error
