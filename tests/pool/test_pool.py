import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from podium import pool
from podium.errors import PodiumError

pytestmark = pytest.mark.slow

ROOT = str(Path(__file__).parents[2])


def opened(offset):
    """Return what all jobs of a process share."""
    return {"offset": offset, "jobs": 0}


def work(context, job):
    """Return the job's number moved, how many this process has done, and the process."""
    context["jobs"] += 1
    if job == "mistake":
        raise PodiumError("params.yaml: a mistake; choose another")
    if job == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return job + context["offset"], context["jobs"], os.getpid()


@pytest.mark.parametrize("where", [None, "local:1", "local:2"])
def test_every_job_is_done_once(monkeypatch, where):
    """In whatever processes; what jobs share is made once in each."""
    set_pool(monkeypatch, where)
    results = list(pool.run(partial(opened, 100), work, range(6)))
    assert sorted(result for result, _, _ in results) == [100, 101, 102, 103, 104, 105]
    processes = {process for _, _, process in results}
    assert (os.getpid() in processes) == (where != "local:2")
    for one in processes:
        counts = [count for _, count, process in results if process == one]
        assert sorted(counts) == list(range(1, len(counts) + 1))


def test_a_users_mistake_comes_out_of_a_worker_as_it_is(monkeypatch):
    """One line, without the worker's traceback."""
    set_pool(monkeypatch, "local:2")
    with pytest.raises(PodiumError, match=r"^params.yaml: a mistake; choose another$"):
        list(pool.run(partial(opened, 0), work, [1, "mistake", 2]))


def test_a_worker_that_dies_is_told(monkeypatch):
    """As one does when memory runs out; finished jobs are in the caches."""
    set_pool(monkeypatch, "local:2")
    with pytest.raises(PodiumError, match=r"PODIUM_POOL: a process of local:2 died.*run again"):
        list(pool.run(partial(opened, 0), work, ["die", 1, 2]))


def beside(folder):
    """Leave a file with this process's number, as a context; then never end."""
    (folder / str(os.getpid())).touch()
    time.sleep(600)


def test_workers_end_with_a_process_that_is_killed(tmp_path):
    """Else they would go on for hours, for nobody."""
    code = (
        "import test_pool as t; from functools import partial;"
        f" list(t.pool.run(partial(t.beside, t.Path({str(tmp_path)!r})), t.work, [1, 2]))"
    )
    machine = {"PODIUM_POOL": "local:2", "PYTHONPATH": f"{ROOT}/src:{Path(__file__).parent}"}
    parent = subprocess.Popen([sys.executable, "-c", code], env=os.environ | machine)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(is_running(worker) for worker in workers))


def wait_for(done):
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process):
    """A zombie has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("named", ["local", "local:0", "local:two", "ray", "local:-1"])
def test_a_pool_that_is_none_is_refused(monkeypatch, named):
    """With the valid choices."""
    set_pool(monkeypatch, named)
    with pytest.raises(PodiumError, match=f"PODIUM_POOL: '{named}' is no pool; choose local:N"):
        pool.n_workers()


@pytest.mark.parametrize("named", ["0", "two", "-1", "1.5"])
def test_threads_are_a_number(monkeypatch, named):
    """Of one thread or more."""
    monkeypatch.setenv("PODIUM_THREADS", named)
    with pytest.raises(PodiumError, match="PODIUM_THREADS: must be a number of threads"):
        pool.n_threads()


def set_pool(monkeypatch, where):
    """Name the pool, or none; its processes find this module."""
    monkeypatch.syspath_prepend(ROOT)
    if where is None:
        monkeypatch.delenv("PODIUM_POOL", raising=False)
    else:
        monkeypatch.setenv("PODIUM_POOL", where)
