"""Hill climbing beside AutoGluon's EnsembleSelection: the same members, rounds and metric.

    python -m venv peer && peer/bin/pip install autogluon.tabular
    python benchmarks/hill_climb.py --peer peer/bin/python [--metric log_loss] [--members 500] [--rows 50000]
        [--classes 10] [--rounds 25] [--plain]

Prints both times, their ratio and both scores; log loss is not clipped. The metrics are log_loss, accuracy, auc (each
class against the rest) and brier. `--plain` climbs without what podium knows of the metric, too. 25 rounds are
AutoGluon's default; each process has the machine to itself. The members share most of their errors, as models of one
competition do.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from podium.ensembles import EnsembleObjective
from podium.ensembles.hill_climb import Ensemble
from podium.metrics import METRICS
from podium.tasks.multiclass import Task

PEER = """
import json, sys, time
import numpy as np
from autogluon.core.metrics import accuracy, log_loss, make_scorer, roc_auc_ovr_macro
from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection

def squares(y, p):
    return float(((np.eye(p.shape[1])[y] - p) ** 2).sum(axis=1).mean())


brier = make_scorer("brier", squares, optimum=0, greater_is_better=False, needs_proba=True)
folder, rounds = sys.argv[1], int(sys.argv[2])
metric = {"log_loss": log_loss, "accuracy": accuracy, "auc": roc_auc_ovr_macro, "brier": brier}[sys.argv[3]]
members, y = np.load(f"{folder}/members.npy"), np.load(f"{folder}/y.npy")
start = time.perf_counter()
selection = EnsembleSelection(ensemble_size=rounds, problem_type="multiclass", metric=metric)
selection.fit(list(members), y)
print(json.dumps({"seconds": time.perf_counter() - start, "weights": selection.weights_.tolist()}))
"""


def members_of(m: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `(m, n, k)` float32 probabilities of varied skill, and the `(n,)` true classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, k, n)
    members = np.empty((m, n, k), np.float32)
    shared = rng.normal(size=(n, k)).astype(np.float32)
    for member in members:
        logits = shared + rng.uniform(1.0, 2.0) * rng.standard_normal((n, k), dtype=np.float32)
        logits[np.arange(n), y] += rng.uniform(2.0, 3.0)
        odds = np.exp(logits)
        member[:] = odds / odds.sum(axis=1, keepdims=True)
    return members, y


def main() -> None:
    """Time both and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="a Python that has autogluon.tabular")
    for name, default in {"members": 500, "rows": 50_000, "classes": 10, "rounds": 25}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--metric", choices=["log_loss", "accuracy", "auc", "brier"], default="log_loss")
    parser.add_argument("--plain", action="store_true")
    arguments = parser.parse_args()
    members, y = members_of(arguments.members, arguments.rows, arguments.classes)
    metric, task = METRICS[arguments.metric], Task(target="label")

    def climbed(name: str) -> tuple[float, np.ndarray]:
        """Return the seconds and the weights of a climb by a metric that is known by this name."""
        start = time.perf_counter()
        loss = EnsembleObjective(lambda y, p, w: metric.loss(y, p, task, w), metric=name)
        weights = Ensemble(rounds=arguments.rounds).fit(members, y, loss=loss, seed=0).weights
        assert weights is not None
        return time.perf_counter() - start, weights

    our_seconds, ours = climbed(arguments.metric)
    if arguments.plain:
        seconds, same = climbed("")
        print(f"without bounds {seconds:.2f} s, weights {'the same' if (ours == same).all() else 'others'}")

    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "members.npy", members)
        np.save(Path(folder) / "y.npy", y)
        command = [arguments.peer, "-c", PEER, folder, str(arguments.rounds), arguments.metric]
        answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])

    sizes = f"{arguments.members} members x {arguments.rows:,} rows x {arguments.classes} classes"
    print(f"{sizes}, {arguments.rounds} rounds")
    for name, seconds, weights in (
        ("podium hill_climb", our_seconds, ours),
        ("AutoGluon EnsembleSelection", answer["seconds"], np.array(answer["weights"])),
    ):
        score = metric.score(y, np.tensordot(weights, members, 1), task)
        print(f"{name:28} {seconds:8.2f} s   {metric.name} {score:.6f}   {np.count_nonzero(weights)} members")
    print(f"ratio {answer['seconds'] / our_seconds:.1f}x")


if __name__ == "__main__":
    main()
