"""The same work on a Dask cluster that is already running (extra ``cluster``): results in order, the same bits as here.

Workers read the study themselves, so its folder must lie at the same path for all of them; only file names go out and
features come back. OUT is written by this process alone.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, Self, TypeVar

from remanent._errors import InputError, UsageError

AHEAD = 4  # sessions sent out for every thread of the cluster: what it holds at once does not grow with the study
CONNECT_S = 20
RETRIES = 2

T = TypeVar("T")
R = TypeVar("R")


class Cluster:
    """A connection to a Dask scheduler for one stage, made when it is first needed.

    Raises
    ------
    UsageError
        The extra is not installed.
    InputError
        No scheduler answers, it has no workers, they cannot do the work, or one was lost again and again.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results of `work` in the order of `items`, the same as of the built-in `map`."""
        if not items:
            return
        client = self._connected()
        from distributed import KilledWorker

        most = AHEAD * sum(client.nthreads().values())
        rest, sent = iter(items), deque[Any]()
        try:
            for item in rest:
                sent.append(client.submit(work, item, pure=False, retries=RETRIES))
                if len(sent) >= most:
                    yield sent.popleft().result()
            while sent:
                yield sent.popleft().result()
        except KilledWorker as error:
            why = "Workers end when they take more memory than they may; what was measured so far is kept"
            do = "Give the workers more memory, or run the same command again with --workers here."
            raise InputError(f"workers of {self._address} were lost again and again", why=why, do=do) from error
        except (RuntimeError, OSError, CancelledError) as error:
            why = f"It says: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            do = "Its workers need the same Python and the same version of remanent; what was measured so far is kept."
            raise InputError(f"the cluster at {self._address} did not do the work", why=why, do=do) from error

    def _connected(self) -> Any:
        if self._client is None:
            self._client = _client(self._address)
        return self._client


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError("--cluster needs dask.distributed", do='Install "remanent[cluster]".') from error
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError, TypeError) as error:
        do = "Start one with `dask scheduler` and `dask worker ADDRESS`, or leave --cluster out."
        raise InputError(f"no Dask scheduler answers within {CONNECT_S} s", where=address, do=do) from error
    if not client.nthreads():
        client.close()
        raise InputError("the scheduler has no workers", where=address, do="Start them with `dask worker ADDRESS`.")
    return client
