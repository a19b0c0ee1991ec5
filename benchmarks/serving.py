"""Throughput and latency of `podium serve` beside the bare engine; thousands of requests, some of them hostile.

    python benchmarks/serving.py EXPORT PICTURES... --requests 10000

EXPORT is a folder of `podium export`, PICTURES image files. The clients run on the same machine, so what they cost is
in the figures. Each answer is held against the ensemble's own, to the bit.
"""

import argparse
import base64
import http.client
import itertools
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from podium.commands import serve
from podium.serving.runtime import Predictor, Row, of_bytes

CLIENTS = 32
HOSTILE = {
    b"": 400,
    b"{": 400,
    b"[" * 100_000: 400,
    b'{"inputs": []}': 400,
    b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["PGh0bWw+"]}]}': 400,
    b'{"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 9, 9, 3], "data": [1]}]}': 400,
    b'{"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 300]}]}': 400,
    b"x" * 16_000_001: 413,
}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("export", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--alone", type=int, default=200, help="requests of the single client")
    parser.add_argument("--seconds", type=float, default=20, help="of each part that measures speed")
    arguments = parser.parse_args()
    files = [path.read_bytes() for path in arguments.pictures]
    predictor = serve.exported(arguments.export).predictor
    rows = [Row(str(n), (of_bytes(str(n), lambda one=one: one),)) for n, one in enumerate(files)]
    expected = np.concatenate([found.p for found in predictor.run(rows)])
    bare_ms = bare(predictor, rows[:20])
    rates = {"predict": [], "served": []}
    command = [sys.executable, "-m", "podium.cli", "serve", str(arguments.export), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        started = time.monotonic()
        name, _, address = server.stdout.readline().partition(": ")
        port, path = int(address.split(":")[2].split()[0]), f"/v2/models/{name}/infer"
        print(f"{time.monotonic() - started:.1f} s to start; {memory_mb(server.pid):.0f} MB")
        bodies = [message(one) for one in files]
        clients = Clients(port, path, bodies, expected)
        clients.run(1, until=lambda n: n >= arguments.alone // 4)  # warm
        alone = clients.run(1, until=lambda n: n >= arguments.alone)
        p50, p99 = np.percentile(alone.latencies_ms, [50, 99])
        print(f"one client: p50 {p50:.0f} ms, p99 {p99:.0f} ms; the bare engine {bare_ms:.0f} ms a picture")
        for _ in range(3):  # alternated: whatever else runs on the machine meets both
            rates["predict"].append(rate_of(predictor, rows, arguments.seconds))
            deadline = time.monotonic() + arguments.seconds
            done = clients.run(CLIENTS, until=lambda _n: time.monotonic() > deadline)  # noqa: B023
            rates["served"].append(len(done.latencies_ms) / done.seconds)
        pairs = list(zip(*rates.values(), strict=True))
        shown = ", ".join(f"{served:.1f} of {plain:.1f} ({served / plain:.2f})" for plain, served in pairs)
        print(f"{CLIENTS} clients: images a second, of predict's in this process: {shown}")
        before = memory_mb(server.pid)
        middle = clients.run(CLIENTS, until=lambda n: n >= arguments.requests // 2, hostile=0.01)
        half = memory_mb(server.pid)
        rest = clients.run(CLIENTS, until=lambda n: n >= arguments.requests // 2, hostile=0.01)
        after = memory_mb(server.pid)
        total = middle.statuses + rest.statuses
        print(f"{total.total()} requests: {dict(total)}; {middle.wrong + rest.wrong} wrong answers")
        print(f"memory: {before:.0f} MB before, {half:.0f} MB in the middle, {after:.0f} MB after")
        server.send_signal(signal.SIGTERM)
        print(f"it ended with {server.wait(60)}")


def message(file: bytes) -> bytes:
    """Return a request with one picture."""
    data = base64.b64encode(file).decode()
    return json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [data]}]}).encode()


def bare(predictor: Predictor, rows: list[Row]) -> float:
    """Return the median milliseconds from bytes to numbers, one picture after the other, without a server."""
    found = []
    for row in rows:
        started = time.monotonic()
        predictor.answer([predictor.load(row)])
        found.append(1000 * (time.monotonic() - started))
    return float(np.median(found))


def rate_of(predictor: Predictor, rows: list[Row], seconds: float) -> float:
    """Return predict's images a second over so many seconds."""
    started, n = time.monotonic(), 0
    for found in predictor.run(itertools.cycle(rows)):
        n += len(found.row_ids)
        if time.monotonic() - started > seconds:
            break
    return n / (time.monotonic() - started)


def memory_mb(pid: int) -> float:
    """Return a process's resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


@dataclass
class Seen:
    """What clients met; `wrong` counts answers and statuses that should not be."""

    latencies_ms: list[float] = field(default_factory=list)
    statuses: Counter = field(default_factory=Counter)
    wrong: int = 0
    seconds: float = 0.0


@dataclass
class Clients:
    """Threads that ask over and over, each on a connection of its own, and check every answer."""

    port: int
    path: str
    bodies: list[bytes]
    expected: np.ndarray

    def run(self, n_threads: int, until: Callable[[int], bool], hostile: float = 0.0) -> Seen:
        """Ask until `until(number of requests)`; a share of the requests is hostile."""
        done = Seen()
        counter, lock, started = itertools.count(1), threading.Lock(), time.monotonic()

        def work(seed: int) -> None:
            rng, client = random.Random(seed), http.client.HTTPConnection("127.0.0.1", self.port)
            while True:
                n = next(counter)
                pick, is_hostile = rng.randrange(len(self.bodies)), rng.random() < hostile
                body = rng.choice(list(HOSTILE)) if is_hostile else self.bodies[pick]
                began = time.monotonic()
                try:
                    client.request("POST", self.path, body)
                    answer = client.getresponse()
                    content, status = answer.read(), answer.status
                except (BrokenPipeError, ConnectionError):  # it hangs up on a body that is too large
                    client.close()
                    content, status = b"", 413 if is_hostile else 0
                took = 1000 * (time.monotonic() - began)
                wanted = HOSTILE[body] if is_hostile else 200
                right = status == wanted
                if right and status == 200:
                    found = json.loads(content)["outputs"][-1]["data"]
                    right = (np.array(found, np.float32) == self.expected[pick]).all()
                with lock:
                    done.statuses[status] += 1
                    done.wrong += not right
                    done.latencies_ms.append(took)
                if until(n):
                    break
            client.close()

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done.seconds = time.monotonic() - started
        return done


if __name__ == "__main__":
    main()
