"""The ensemble's scores over time: of each commit that changed metrics/ensemble.json, and of the work tree."""

import json
import re
import subprocess
from collections.abc import Mapping
from typing import Any

import pandas as pd

from podium import paths

MOST_COMMITS = 30  # that changed the scores
NOW = "now"
_COMPETITION = re.compile(r"^competition:\s*[\"']?([\w-]+)", re.MULTILINE)
_TIMEOUT_S = 10


def read(competition: str, metric: str, now: Mapping[str, Any]) -> pd.DataFrame:
    """Return `commit` (with its date), `score` and `standard_error`, the oldest first; `now` are today's scores.

    The file holds the scores of whatever competition was at hand, so commits of another one are left out, and so is
    the last one where it holds today's scores: the table is the same before and after they are committed. It has no
    lines where git knows nothing older.
    """
    lines = [
        (name, *found)
        for name, params, scores in _versions()
        if _of(params) == competition and (found := _pair(scores, metric))
    ]
    last = _pair(now, metric)
    if lines and lines[0][1:] == last:
        lines = lines[1:]
    table = [*reversed(lines), (NOW, *last)] if lines and last else []
    return pd.DataFrame(table, columns=["commit", "score", "standard_error"])


def _versions() -> list[tuple[str, str, Any]]:
    """Return (name, params.yaml, scores) of the commits that changed the scores, the newest first."""
    log = _git(
        "log",
        "--first-parent",
        f"-{MOST_COMMITS}",
        "--abbrev=8",
        "--format=%h %as",
        "--",
        paths.METRICS_ENSEMBLE.as_posix(),
    )
    found = []
    for line in log.splitlines():
        commit = line.split()[0]
        texts = [_git("show", f"{commit}:./{file.as_posix()}") for file in (paths.PARAMS, paths.METRICS_ENSEMBLE)]
        try:
            found.append((line, texts[0], json.loads(texts[1])))
        except ValueError:  # the commit removed the file, or left it in conflict
            continue
    return found


def _of(params: str) -> str | None:
    """Return the competition of a params.yaml of any age: other keys may be ones that podium no longer takes."""
    found = _COMPETITION.search(params)
    return found[1] if found else None


def _pair(scores: Any, metric: str) -> tuple[float, float] | None:
    try:
        return float(scores["cross_fitted"][metric]), float(scores["standard_error"][metric])
    except (KeyError, TypeError, ValueError):
        return None  # of another time: without this metric, or of another form


def _git(*arguments: str) -> str:
    """Return what git answers, "" where there is no git, no repository or no such file."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)  # noqa: S603, S607  # no shell; whichever git is used here
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
