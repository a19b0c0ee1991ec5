"""Where the jobs below a stage run: one after the other in this process, or in several at once.

`PODIUM_POOL` says where and changes no number: unset, in this process; `local:N`, in N processes of this machine. A
job is small, a name or a position; what it computes it leaves in the machine's caches, whole or not at all, so that a
killed job is simply done again.

`PODIUM_THREADS` is the threads of one job that trains a network. Sums are rounded otherwise by other numbers of
threads, so it is part of such a network's fingerprint; left out, a job has a thread for each core.
"""

import multiprocessing
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from threading import Thread
from typing import Any, TypeVar

from podium.errors import PodiumError
from podium.quiet import quieten

_LOCAL = re.compile(r"local:([1-9][0-9]{0,2})")

_Context = TypeVar("_Context")
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

_context: Any = None  # of a process that works for another one


def n_workers() -> int:
    """Return the processes that jobs run in; 1: this one. Raises PodiumError for a PODIUM_POOL that is none."""
    named = os.environ.get("PODIUM_POOL")
    if not named:
        return 1
    if not (found := _LOCAL.fullmatch(named)):
        raise PodiumError(f"PODIUM_POOL: {named!r} is no pool; choose local:N, for N processes, or leave it out")
    return int(found.group(1))


def n_threads() -> int | None:
    """Return the threads of a job that trains; None: a thread for each core."""
    named = os.environ.get("PODIUM_THREADS")
    if not named:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,2}", named):
        raise PodiumError(f"PODIUM_THREADS: must be a number of threads, not {named!r}")
    return int(named)


def limit_threads() -> None:
    """Give the networks of this process the threads that PODIUM_THREADS names; before TensorFlow is loaded."""
    if (threads := n_threads()) is not None:
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(threads)


def run(
    open_context: Callable[[], _Context], work: Callable[[_Context, _Job], _Result], jobs: Iterable[_Job]
) -> Iterator[_Result]:
    """Yield the result of each job as it is done, in any order.

    `open_context` makes what all jobs of one process share. With several processes it, `work`, jobs and results are
    pickled, so functions stand in a module. The first error ends the run, once the jobs that have begun are done.
    Raises PodiumError where a process died, as one does when memory runs out.
    """
    jobs = list(jobs)
    workers = min(n_workers(), len(jobs))
    if workers <= 1:
        context = open_context() if jobs else None
        for job in jobs:
            yield work(context, job)  # type: ignore[arg-type]  # there is a context where there are jobs
        return
    # Forked processes would share TensorFlow's locks with threads that they do not have.
    spawned = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=spawned, initializer=_begin, initargs=(open_context,))
    try:
        for future in as_completed([pool.submit(_work, work, job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool:
        raise PodiumError(
            f"PODIUM_POOL: a process of local:{n_workers()} died, perhaps for want of memory; finished jobs are kept:"
            " run again, with fewer processes"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(open_context: Callable[[], Any]) -> None:
    global _context  # noqa: PLW0603  # a process's own
    Thread(target=_end_with_parent, daemon=True).start()
    quieten()
    limit_threads()
    _context = open_context()


def _end_with_parent() -> None:
    """End this process once its parent is gone, which may be killed: nobody would take what it computes."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(work: Callable[[Any, Any], Any], job: Any) -> Any:
    return work(_context, job)
