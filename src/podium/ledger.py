"""leaderboard.csv: every upload with its scores here and there; `podium ledger` reads what they say together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from podium import metrics, paths
from podium.config import Config
from podium.contracts import csv_table
from podium.errors import PodiumError

COLUMNS = (
    "time", "competition", "ref", "commit", "params", "file", "metric", "naive", "cross_fitted", "public", "private",
)  # fmt: skip
_NUMBERS = ["naive", "cross_fitted", "public", "private"]
_ENOUGH = 3  # uploads with both scores, for a correlation


@dataclass(frozen=True)
class Picks:
    """The two uploads to select for the final score, and why each."""

    safe: pd.Series
    bold: pd.Series | None


def read(path: Path = paths.LEADERBOARD) -> pd.DataFrame:
    """Return the ledger as text, empty where there is none; raises PodiumError for a file of other columns."""
    if not path.exists():
        return pd.DataFrame(columns=list(COLUMNS), dtype="str")
    table = csv_table.read(path.read_bytes(), str(path))
    csv_table.require(table, COLUMNS, str(path))
    return table


def put(entry: Mapping[str, object], path: Path = paths.LEADERBOARD) -> None:
    """Add a line, or replace the one of the same competition and `ref`."""
    line = pd.DataFrame([{name: str(entry[name]) for name in COLUMNS}], dtype="str")
    known = read(path)
    same = (known["competition"] == line["competition"][0]) & (known["ref"] == line["ref"][0])
    csv_table.write(pd.concat([known[~same], line], ignore_index=True), path)


def show(config: Config) -> None:
    """Print the uploads of the competition, how CV and leader board go together, and the two final picks."""
    name = config.params.competition
    own = numbers(read(), name)
    if own.empty:
        raise PodiumError(f"{paths.LEADERBOARD}: no upload of {name} yet; `podium upload` makes one")
    metric = metrics.find(config.competition.metric, f"{paths.competition(name)}: metric")
    print(own.drop(columns="competition").to_string(index=False, na_rep=""))  # noqa: T201  # the answer
    print(f"\n{_correlation(own)}\n{_choice(picks(own, lower_is_better=metric.direction == 'lower'))}")  # noqa: T201


def numbers(ledger: pd.DataFrame, competition: str) -> pd.DataFrame:
    """Return the competition's lines with scores as numbers, NaN where there is none yet."""
    own = ledger[ledger["competition"] == competition].reset_index(drop=True)
    return own.assign(**{name: pd.to_numeric(own[name], errors="coerce") for name in _NUMBERS})


def picks(own: pd.DataFrame, *, lower_is_better: bool) -> Picks:
    """Return the upload of the best cross-fitted score, and of the others the one of the best public score.

    The first is what the training rows say; the second is the hedge, should the test rows be of another kind.
    """
    by_cv = own.sort_values("cross_fitted", ascending=lower_is_better, kind="stable")
    safe = by_cv.iloc[0]
    others = by_cv[(by_cv["file"] != safe["file"]) & by_cv["public"].notna()]
    others = others.sort_values("public", ascending=lower_is_better, kind="stable")
    return Picks(safe, None if others.empty else others.iloc[0])


def _correlation(own: pd.DataFrame) -> str:
    both = own.dropna(subset=["cross_fitted", "public"])
    pearson = both["cross_fitted"].corr(both["public"])
    ranks = both["cross_fitted"].rank().corr(both["public"].rank())
    if len(both) < _ENOUGH or pd.isna(pearson):
        return f"CV against leader board: {len(both)} uploads have both scores, too few (or too equal) to correlate"
    return f"CV against leader board over {len(both)} uploads: correlation {pearson:+.2f}, of ranks {ranks:+.2f}"


def _choice(chosen: Picks) -> str:
    safe = f"final pick 1, the best cross-fitted score: {_named(chosen.safe)}"
    if chosen.bold is None:
        return f"{safe}\nfinal pick 2: upload another submission first"
    return f"{safe}\nfinal pick 2, the best public score of the others: {_named(chosen.bold)}"


def _named(line: pd.Series) -> str:
    return f"{line['ref']} of {line['time']} (CV {line['cross_fitted']:.5g}, public {line['public']:.5g})"
