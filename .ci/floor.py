"""Fail when the default competition's cross-fitted score is worse, or its models larger, than they should ever be."""

import json
import sys
from pathlib import Path

FLOOR = {"accuracy": (0.86, 1), "log_loss": (0.33, -1)}  # metric -> bound, and the direction that is better
MODELS = 60_000_000  # bytes: DVC's cache keeps those of every experiment

scores = json.loads(Path("metrics/ensemble.json").read_text(encoding="utf-8"))["cross_fitted"]
worse = {name: scores[name] for name, (bound, better) in FLOOR.items() if (scores[name] - bound) * better < 0}
n_bytes = sum(path.stat().st_size for path in Path("models/elpv").rglob("*") if path.is_file())
print("scores:", scores, "models:", f"{n_bytes / 1e6:.1f} MB")
sys.exit(
    f"below the floor {FLOOR}: {worse}" if worse else f"over the budget of {MODELS} bytes" if n_bytes > MODELS else None
)
