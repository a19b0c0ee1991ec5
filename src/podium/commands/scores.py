"""`podium scores`: the bank and the ensemble as one table, for a person to read."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from podium import paths
from podium.analysis.text_table import aligned
from podium.config import Config, scoring
from podium.errors import PodiumError
from podium.storage import csv_table, journal
from podium.storage.files import n_bytes


def run(config: Config) -> None:
    """Print the members, the best first, then the ensemble: naive, cross-fitted and held-out."""
    name = config.params.competition
    bank = csv_table.read(_bytes(paths.bank_table(name)), str(paths.bank_table(name)))
    ensemble, heldout = (json.loads(_bytes(path)) for path in (paths.METRICS_ENSEMBLE, paths.METRICS_HELDOUT))
    print(f"{config.competition.title}: {config.competition.metric} first\n")  # noqa: T201
    bank["seconds"] = bank["member"].map(journal.seconds(name))
    bank["MB"] = [n_bytes(config.params.fitted(member)) / 1e6 for member in bank["member"]]
    print(table(bank, ensemble, heldout, config.competition.all_metrics()))  # noqa: T201
    for warning in scoring(config).below_constant(bank):
        print(warning)  # noqa: T201
    chosen = csv_table.read(_bytes(paths.method_table(name)), str(paths.method_table(name))).iloc[0]
    print(f"\nensemble: {chosen['method']} ({chosen['verdict']})")  # noqa: T201
    print(f"{paths.submission(name)} is ready")  # noqa: T201


def table(
    bank: pd.DataFrame, ensemble: dict[str, dict[str, float]], heldout: dict[str, float], metrics: tuple[str, ...]
) -> str:
    """Return the text table; `bank` holds text, as its CSV does, and seconds and MB of each member."""
    official = metrics[0]
    error = ensemble["standard_error"][official]
    ends = [
        ("ensemble, naive", ensemble["naive"], ""),
        ("ensemble, cross-fitted", ensemble["cross_fitted"], _digits(error)),
        ("ensemble, held out", heldout, ""),
    ]
    head = ["", *metrics, "±", "weight", "seconds", "MB"]
    members = [
        [
            line["member"],
            *(_digits(line[metric]) for metric in metrics),
            *map(_digits, (line["standard_error"], line["weight"])),
            *("" if pd.isna(line[name]) else f"{float(line[name]):.1f}" for name in ("seconds", "MB")),
        ]
        for line in bank.to_dict("records")
    ]
    wholes = [
        [label, *(_digits(scores.get(metric)) for metric in metrics), noise, "", "", ""]
        for label, scores, noise in ends
    ]
    return aligned([head, *members, *wholes], rule_before=1 + len(members))


def _digits(value: Any) -> str:
    return "" if pd.isna(value) else f"{float(value):.4f}"


def _bytes(path: Path) -> bytes:
    if not path.exists():
        raise PodiumError(f"{path}: there is no such file; run `make submission`")
    return path.read_bytes()
