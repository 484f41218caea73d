"""One function over many images, in parallel where that pays, with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from typing import TypeVar

from tqdm import tqdm

from cyborg.common.errors import UserError

# Starting a worker takes longer than making this many maps.
FEW = 64

Job = TypeVar("Job")
Result = TypeVar("Result")


def run(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    description: str,
    workers: int | None = None,
) -> list[Result]:
    """Results of `function` (of a module) for all jobs, in their order.

    workers: processes at most; None is one per processor that this process may use. The results
    do not depend on it. Raises what `function` raises, and UserError where a worker was killed.
    """
    count = min(workers or len(os.sched_getaffinity(0)), max(1, len(jobs) // FEW))
    with ExitStack() as stack:
        done: Iterable[Result] = map(function, jobs)
        if count > 1:
            # Not forked: the parent may hold locks of libraries that run threads.
            context = multiprocessing.get_context("spawn")
            pool = stack.enter_context(ProcessPoolExecutor(count, mp_context=context))
            done = pool.map(function, jobs, chunksize=16)
        try:
            return list(tqdm(done, description, len(jobs), unit="image", disable=None))
        except BrokenProcessPool as error:
            raise UserError(
                f"{description}: a worker was killed, probably for want of memory",
                hint="free memory and run the same command again",
            ) from error
