"""`podium ledger`: what the uploads say together, and which two to pick for the final score."""

from dataclasses import dataclass

import pandas as pd

from podium import metrics, paths
from podium.config import Config
from podium.contracts import leaderboard
from podium.errors import PodiumError

_ENOUGH = 3  # uploads with both scores, for a correlation


@dataclass(frozen=True)
class Picks:
    """The two uploads to select for the final score, and why each."""

    safe: pd.Series
    bold: pd.Series | None


def run(config: Config) -> None:
    """Print the uploads of the competition, how CV and leaderboard go together, and the two final picks."""
    name = config.params.competition
    own = leaderboard.of(name, paths.LEADERBOARD)
    if own.empty:
        raise PodiumError(f"{paths.LEADERBOARD}: no upload of {name} yet; `podium upload` makes one")
    metric = metrics.find(config.competition.metric, f"{paths.competition(name)}: metric")
    print(own.drop(columns="competition").to_string(index=False, na_rep=""))  # noqa: T201  # the answer
    print(f"\n{_correlation(own)}\n{_choice(picks(own, lower_is_better=metric.direction == 'lower'))}")  # noqa: T201


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
        return f"CV against leaderboard: {len(both)} uploads have both scores, too few (or too equal) to correlate"
    return f"CV against leaderboard over {len(both)} uploads: correlation {pearson:+.2f}, of ranks {ranks:+.2f}"


def _choice(chosen: Picks) -> str:
    safe = f"final pick 1, the best cross-fitted score: {_named(chosen.safe)}"
    if chosen.bold is None:
        return f"{safe}\nfinal pick 2: upload another submission first"
    return f"{safe}\nfinal pick 2, the best public score of the others: {_named(chosen.bold)}"


def _named(line: pd.Series) -> str:
    return f"{line['ref']} of {line['time']} (CV {line['cross_fitted']:.5g}, public {line['public']:.5g})"
