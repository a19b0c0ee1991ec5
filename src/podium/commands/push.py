"""`podium push`: a rehearsed bundle to Kaggle: dataset, kernel, its submission, and the score into the ledger."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from podium import paths
from podium.commands.upload import ask_for_quota, entry_of, scored
from podium.config import Config
from podium.contracts import leaderboard
from podium.contracts.predictions import digest_of_folder
from podium.errors import PodiumError
from podium.sources.kaggle_api import connect, explained

_WAITS_S = (*[10] * 60, *[60] * 600)  # between two looks: ten minutes, then as long as a kernel may run


def run(config: Config, folder: str | None) -> None:
    """Create or version the dataset, run the kernel, submit its file; raises PodiumError where a step fails."""
    name = config.params.competition
    slug = getattr(config.competition.source, "competition", None)
    if slug is None:
        raise PodiumError(f"{paths.competition(name)}: source.kind: only a competition of Kaggle takes a kernel")
    bundle = Path(folder) if folder else paths.bundle(name)
    _require_rehearsal(bundle)
    about = json.loads((bundle / "kernel/kernel-metadata.json").read_text(encoding="utf-8"))
    entry = entry_of(config, bundle / "dataset/model/manifest.json")
    message = f"{entry['commit']} params {entry['params']} CV {entry['cross_fitted']}"
    api = connect()
    with explained(slug, f"push {bundle}"):
        ask_for_quota(api, slug)
        (dataset,) = about["dataset_sources"]
        _push_dataset(api, bundle / "dataset", dataset, message)
        _wait(f"the dataset {dataset}", lambda: api.dataset_status(dataset), {"ready"}, {"failed", "deleted"})
        pushed = api.kernels_push(str(bundle / "kernel"))
        _refuse(pushed.error, about["id"])
        print(f"{about['id']}, version {pushed.version_number}: it runs now")  # noqa: T201  # it takes a while
        _wait(f"the kernel {about['id']}", lambda: _kernel_status(api, about["id"]), {"complete"}, {"error"})
        answer = api.competition_submit_code(
            "submission.csv", message, slug, about["id"], pushed.version_number, quiet=True
        )
        if not answer.ref:
            raise PodiumError(f"Kaggle did not take {about['id']}: {answer.message or 'it gave no reason'}; run again")
        leaderboard.put(entry | {"ref": answer.ref, "public": "", "private": ""}, paths.LEADERBOARD)
        done = scored(api, slug, int(answer.ref))
    scores = {"public": done.public_score or "", "private": done.private_score or ""}
    leaderboard.put(entry | {"ref": answer.ref} | scores, paths.LEADERBOARD)
    waiting = "" if done.public_score else "; Kaggle has not scored it yet"
    print(f"public {done.public_score or '?'}, CV {entry['cross_fitted']}: see `podium ledger`{waiting}")  # noqa: T201


def _require_rehearsal(bundle: Path) -> None:
    """Raise PodiumError unless this very bundle passed its rehearsal."""
    path = bundle / "rehearsal.json"
    if not path.exists():
        raise PodiumError(f"{path}: there is no such file; run `podium bundle` first")
    facts = json.loads(path.read_text(encoding="utf-8"))
    if not facts["passed"]:
        raise PodiumError(f"{path}: the rehearsal did not pass; run `podium bundle` again")
    for part in ("dataset", "kernel"):
        if digest_of_folder(bundle / part) != facts[part]:
            raise PodiumError(f"{bundle / part}: not what was rehearsed; run `podium bundle` again")


def _push_dataset(api: Any, folder: Path, dataset: str, message: str) -> None:
    """Create the dataset, or a version of it where it is there."""
    import requests

    try:
        api.dataset_status(dataset)
    except requests.HTTPError:
        answer = api.dataset_create_new(str(folder), quiet=True, dir_mode="zip")
    else:
        answer = api.dataset_create_version(str(folder), message, quiet=True, dir_mode="zip")
    _refuse(answer.error, dataset)


def _refuse(error: str | None, what: str) -> None:
    if error:
        raise PodiumError(f"Kaggle did not take {what}: {' '.join(error.split())}")


def _kernel_status(api: Any, kernel: str) -> str:
    status = api.kernels_status(kernel)
    name = str(status.status.name).lower()
    return f"error ({status.failure_message})" if name == "error" and status.failure_message else name


def _wait(what: str, ask: Callable[[], str], good: set[str], bad: set[str]) -> None:
    """Return when the status is good; raises PodiumError where it is bad, or does not come."""
    status = ""
    for wait in (*_WAITS_S, 0):
        status = ask()
        if status in good:
            return
        if status.partition(" ")[0] in bad or status.startswith("cancel"):
            raise PodiumError(f"{what} failed at Kaggle: {status}; look at its log there")
        time.sleep(wait)
    raise PodiumError(f"{what} is still {status} at Kaggle; run `podium push` again when it is done")
