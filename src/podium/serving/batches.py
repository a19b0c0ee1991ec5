"""One thread that runs the networks over whatever pictures wait, so that concurrent requests share their batches."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread

import numpy as np

from podium.serving.runtime import IMAGES_AT_ONCE, Loaded, Predictor

LINGER_S = 0.05  # at most, for pictures that are being decoded
_TICK_S = 0.002

_Job = tuple[Sequence[Loaded], "Future[np.ndarray]"]


class Batches:
    """Predictions of decoded rows, in the order in which they come.

    A network runs on batches of one shape, which cost the same however few pictures are in them. So where `coming()`
    says that more are being decoded, the thread waits a little until a batch is full; a lone request it does not keep.
    What waits already is taken along: the heads cost much the same for a few rows more.
    """

    def __init__(self, predictor: Predictor, coming: Callable[[], bool]) -> None:
        self._predictor, self._coming = predictor, coming
        largest = max((network.batch for network in predictor.networks.values()), default=1)
        self.n_rows = max(1, largest // len(predictor.views))  # that fill a network's batch
        self._waiting: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="networks", daemon=True)
        self._thread.start()

    def put(self, rows: Sequence[Loaded]) -> "Future[np.ndarray]":
        """Return the predictions to come, `(n_rows, k)` float32, of rows with at least one picture each."""
        done: Future[np.ndarray] = Future()
        self._waiting.put((rows, done))
        return done

    def close(self) -> None:
        """Return when all that waits is done."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open and (first := self._waiting.get()) is not None:
            jobs, n, until = [first], len(first[0]), time.monotonic() + LINGER_S
            while n < max(self.n_rows, IMAGES_AT_ONCE):
                is_full = n >= self.n_rows
                try:
                    job = self._waiting.get(block=not is_full, timeout=_TICK_S)
                except Empty:
                    if is_full or not self._coming() or time.monotonic() > until:
                        break
                    continue
                if job is None:
                    is_open = False
                    break
                jobs.append(job)
                n += len(job[0])
            self._answer([job for job in jobs if job[1].set_running_or_notify_cancel()])

    def _answer(self, jobs: Sequence[_Job]) -> None:
        try:
            p = self._predictor.answer([row for rows, _ in jobs for row in rows]).p
        except Exception as error:  # noqa: BLE001  # whoever waits is told; the thread goes on for the others
            for _, done in jobs:
                done.set_exception(error)
            return
        start = 0
        for rows, done in jobs:
            done.set_result(p[start : start + len(rows)])
            start += len(rows)
