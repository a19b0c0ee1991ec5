"""What the report shows of one type of prediction: a module for each, called like the type."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from podium.analysis.report.advice import Advice
from podium.analysis.report.page import Chart, HtmlTable, Threshold
from podium.analysis.report.results import Groups, Results


class Panels(ABC):
    """Charts with their tables, the rows worth a look, and targets and predictions as a person writes them."""

    @abstractmethod
    def plots(self, results: Results) -> dict[str, pd.DataFrame]:
        """Return the charts' tables by name: each is a CSV of the report, which DVC plots too."""

    @abstractmethod
    def charts(self, results: Results, plots: Mapping[str, pd.DataFrame]) -> list[Chart]:
        """Return the charts that have something to show."""

    def advice(self, results: Results, plots: Mapping[str, pd.DataFrame]) -> list[Advice]:  # noqa: ARG002
        """Return what this type of prediction says to do next."""
        return []

    def tables(self, results: Results, plots: Mapping[str, pd.DataFrame]) -> dict[str, HtmlTable]:  # noqa: ARG002
        """Return tables by title."""
        return {}

    def threshold(self, results: Results) -> Threshold | None:  # noqa: ARG002
        """Return the counts that a threshold's slider needs; None where there is no threshold."""
        return None

    def groups(self, results: Results) -> Groups | None:  # noqa: ARG002
        """Return the groups of the map of features; None where heads on features cannot answer so."""
        return None

    @abstractmethod
    def ranked(self, results: Results) -> dict[str, np.ndarray]:
        """Return reason (see gallery) -> positions of rows, the most remarkable first."""

    @abstractmethod
    def labels(self, results: Results) -> Sequence[str]:
        """Return each row's target as text."""

    @abstractmethod
    def predictions(self, results: Results) -> Sequence[str]:
        """Return each row's prediction as text."""

    def drawn(self, results: Results, row_id: str, pixels: np.ndarray) -> np.ndarray:  # noqa: ARG002  # most answers have no place
        """Return a picture of a row `(h, w, 3)` uint8 with what was found on it."""
        return pixels
