"""`podium upload`: check, ask for the day's quota, submit to Kaggle, wait for the score, keep it in leaderboard.csv."""

import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from podium import paths
from podium.commands import check
from podium.config import Config
from podium.contracts import leaderboard
from podium.errors import PodiumError
from podium.sources.kaggle_api import connect, explained
from podium.storage.files import digest

_WAITS_S = (2, 3, 5, *[10] * 60)  # between two looks: ten minutes in all


def run(config: Config, *, again: bool = False) -> None:
    """Upload the competition's submission; raises PodiumError where that would be wrong or is refused."""
    name, source = config.params.competition, config.competition.source
    slug = getattr(source, "competition", None)
    if slug is None:
        raise PodiumError(f"{paths.competition(name)}: source.kind: only a competition of Kaggle takes uploads")
    if config.competition.submission.kind == "code":
        where = f"{paths.competition(name)}: submission.kind"
        raise PodiumError(f"{where}: this competition takes code, not files: `podium bundle`, then `podium push`")
    file = paths.submission(name)
    check.passed(file, name, config.competition)
    entry = entry_of(config, file)
    _refuse_twins(entry, again=again)
    api = connect()
    with explained(slug, f"upload {file}"):
        ask_for_quota(api, slug)
        ref = _submit(api, file, slug, f"{entry['commit']} params {entry['params']} CV {entry['cross_fitted']}")
        # At once, so that an impatient Ctrl-C forgets nothing; again when the score is there.
        leaderboard.put(entry | {"ref": ref, "public": "", "private": ""}, paths.LEADERBOARD)
        done = scored(api, slug, ref)
    scores = {"public": done.public_score or "", "private": done.private_score or ""}
    leaderboard.put(entry | {"ref": ref} | scores, paths.LEADERBOARD)
    waiting = "" if done.public_score else "; Kaggle has not scored it yet"
    print(f"public {done.public_score or '?'}, CV {entry['cross_fitted']}: see `podium ledger`{waiting}")  # noqa: T201


def entry_of(config: Config, file: Path) -> dict[str, Any]:
    """Return the ledger's line, but for what Kaggle says."""
    scores = json.loads(paths.METRICS_ENSEMBLE.read_text(encoding="utf-8")) if paths.METRICS_ENSEMBLE.exists() else {}
    metric = config.competition.metric
    return {
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "competition": config.params.competition,
        "commit": _commit(),
        "params": digest(paths.PARAMS)[:12],
        "file": digest(file)[:12],
        "metric": metric,
        "naive": scores.get("naive", {}).get(metric, ""),
        "cross_fitted": scores.get("cross_fitted", {}).get(metric, ""),
    }


def _commit() -> str:
    """Return the short commit, with a + where the work tree differs from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],  # noqa: S607  # git as the user has it
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "no-commit"


def _refuse_twins(entry: dict[str, Any], *, again: bool) -> None:
    known = leaderboard.read(paths.LEADERBOARD)
    twins = known[(known["competition"] == entry["competition"]) & (known["file"] == entry["file"])]
    if len(twins) and not again:
        last = twins.iloc[-1]
        raise PodiumError(
            f"this very file was uploaded on {last['time']} as {last['ref']} and scored {last['public']};"
            " `podium upload --again` uploads it all the same"
        )


def ask_for_quota(api: Any, slug: str) -> None:
    """Say how many submissions are left for today; raises PodiumError where there are none."""
    limits = api.competition_get_submission_limits(slug)
    if limits.num_allowed_now < 1:
        reason = "in all" if limits.limited_by_total else "for today (a new day begins at midnight UTC)"
        raise PodiumError(
            f"no submission to {slug} is left {reason}: {limits.num_today} today, {limits.num_total} so far"
        )
    print(f"{limits.num_allowed_now} submissions to {slug} are left for today")  # noqa: T201  # before one is used


def _submit(api: Any, file: Path, slug: str, message: str) -> int:
    answer = api.competition_submit(str(file), message, slug, quiet=True)
    if not answer.ref:
        raise PodiumError(f"Kaggle did not take {file}: {answer.message or 'it gave no reason'}; run again")
    return int(answer.ref)


def scored(api: Any, slug: str, ref: int) -> Any:
    """Return the submission when Kaggle has scored it, or as it is when that takes too long."""
    for wait in (*_WAITS_S, 0):
        found = next((one for one in api.competition_submissions(slug) if one.ref == ref), None)
        if found is not None and found.status.name == "ERROR":
            raise PodiumError(f"Kaggle could not score {ref}: {found.error_description or 'it gave no reason'}")
        if found is not None and found.status.name == "COMPLETE":
            return found
        time.sleep(wait)
    if found is None:
        raise PodiumError(f"Kaggle took the upload as {ref}, but does not list it; look at the competition's page")
    return found
