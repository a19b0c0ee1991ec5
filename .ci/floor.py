"""Fail when the default competition's cross-fitted score is worse than it should ever be."""

import json
import sys
from pathlib import Path

FLOOR = {"accuracy": (0.86, 1), "log_loss": (0.33, -1)}  # metric -> bound, and the direction that is better

scores = json.loads(Path("metrics/ensemble.json").read_text(encoding="utf-8"))["cross_fitted"]
worse = {name: scores[name] for name, (bound, better) in FLOOR.items() if (scores[name] - bound) * better < 0}
print("scores:", scores)
sys.exit(f"below the floor {FLOOR}: {worse}" if worse else None)
