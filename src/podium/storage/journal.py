"""How long each stage took on this machine, and what it reused: a log beside the row cache.

No output of a stage holds it: the same input must give the same bytes.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pandas as pd

from podium import paths

_COLUMNS = ["competition", "stage", "seconds", "facts"]


def write(competition: str, stage: str, seconds: float, facts: Mapping[str, Any] | None) -> None:
    """Append one run; a machine that cannot keep a log runs all the same."""
    entry = {"competition": competition, "stage": stage, "seconds": round(seconds, 1), "facts": dict(facts or {})}
    with suppress(OSError):
        paths.journal().parent.mkdir(parents=True, exist_ok=True)
        with paths.journal().open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, sort_keys=True) + "\n")


def read(competition: str) -> pd.DataFrame:
    """Return the last run of each stage, in the order in which they ran: `stage`, `seconds`, `facts` as text."""
    try:
        lines = paths.journal().read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    entries = [entry for entry in map(_entry, lines) if entry and entry["competition"] == competition]
    table = pd.DataFrame(entries, columns=_COLUMNS).drop_duplicates("stage", keep="last")
    table["facts"] = [", ".join(f"{name} {value:,}" for name, value in facts.items()) for facts in table["facts"]]
    return table.drop(columns="competition").reset_index(drop=True)


def seconds(competition: str) -> dict[str, float]:
    """Return how long each member took here the last time that it ran, by name."""
    return {stage.partition("@")[2]: took for stage, took in read(competition)[["stage", "seconds"]].to_numpy()}


def _entry(line: str) -> dict[str, Any] | None:
    """Return a line's entry, or None for one that a killed run or another version left."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and set(entry) == set(_COLUMNS) else None
