"""Run one function over many jobs in several processes, if there are enough jobs for that."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Protocol, TypeVar

from tqdm import tqdm

from cyborg.common.errors import UserError

# Starting a worker takes longer than making this many maps.
JOBS_PER_WORKER = 64

Job = TypeVar("Job")
Result = TypeVar("Result")


class Map(Protocol):
    """A function like `map`, possibly in several processes."""

    def __call__(
        self, function: Callable[[Job], Result], jobs: Sequence[Job], *, at_once: int = 1
    ) -> Iterator[Result]:
        """Give the results of `function` for all jobs, in their order.

        at_once: jobs that a process is handed at a time.
        """
        ...


def count_processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def open_workers(count: int, purpose: str) -> Iterator[Map]:
    """Give a `Map` that runs in `count` processes, or in this process if `count` is at most 1.

    purpose: begins the message of the UserError that is raised if a worker is killed.
    """
    if count <= 1:
        yield lambda function, jobs, *, at_once=1: map(function, jobs)
        return
    # Not forked: this process may hold locks of libraries that run threads.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        try:
            yield lambda function, jobs, *, at_once=1: pool.map(function, jobs, chunksize=at_once)
        except BrokenProcessPool as error:
            raise UserError(
                f"{purpose}: a worker was killed, probably out of memory",
                hint="free memory and run the same command again",
            ) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def map_in_processes(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    description: str,
    workers: int | None = None,
) -> list[Result]:
    """Return the results of `function` for all jobs, in their order, and show a progress bar.

    function: of a module, so that other processes can import it.
    workers: the largest number of processes. None is one per processor that this process may
    use. The results do not depend on it.

    Raises whatever `function` raises, and UserError if a worker is killed.
    """
    count = min(workers or count_processors(), max(1, len(jobs) // JOBS_PER_WORKER))
    with open_workers(count, description) as run:
        done = run(function, jobs, at_once=16)
        return list(tqdm(done, description, len(jobs), unit="image", disable=None))
