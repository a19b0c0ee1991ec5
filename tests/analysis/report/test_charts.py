"""Charts as the page needs them: themed, named, the same bytes every time."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from podium.analysis.report import charts, contents, tables
from podium.analysis.report.panels.scores import Panels
from podium.contracts.dataset import Dataset

pytestmark = pytest.mark.slow


def all_charts(results, climb, uploads):
    panels, made = Panels(), contents.plots(results, climb, uploads)
    made |= panels.plots(results)
    return [*panels.charts(results, made), *contents.drawn(results, made)]


@pytest.fixture(scope="module")
def drawn(results, climb, uploads):
    return all_charts(results, climb, uploads)


def test_a_task_gets_the_charts_that_it_can_have(results, drawn):
    """A regression has no ROC; several labels have no confusion."""
    shared = ["Correlation of members", "Score by fold", "Hill climbing", "Leaderboard"]
    decisions = ["ROC", "Precision and recall"]
    expected = {
        "binary": [*decisions, "Confusion", "Reliability", *shared],
        "multiclass": [*decisions, "Confusion", "Reliability", *shared],
        "multilabel": [*decisions, "Reliability", *shared],
        "regression": ["Actual and predicted", *shared],
    }
    assert [chart.title for chart in drawn] == expected[results.scoring.task.kind]


def test_charts_are_named_themed_vector_drawings(drawn):
    """No picture, no script, no fixed black or white: every colour is the style sheet's."""
    for chart in drawn:
        root = ET.fromstring(chart.svg)
        assert root.get("role") == "img"
        assert root.get("aria-label")
        assert "var(--main)" in chart.svg
        assert not re.search(r"<image|<script|#0101|#000000|#ffffff|http://(?!www\.w3\.org)", chart.svg), chart.title
        assert len(chart.svg) < 60_000


def test_ids_of_one_page_differ(drawn):
    """Two charts on one page must not take each other's clip path."""
    ids = [{*re.findall(r'id="([^"]+)"', chart.svg)} for chart in drawn]
    assert sum(map(len, ids)) == len(set.union(*ids))


def test_the_same_table_gives_the_same_bytes(results, climb, uploads, drawn):
    """Nothing depends on a clock or on chance."""
    assert all_charts(results, climb, uploads) == drawn


@pytest.mark.parametrize("results", ["multiclass"], indirect=True)
def test_texts_of_the_competition_are_escaped(results, climb, uploads):
    """A label may look like markup."""
    marked = replace(results, data=Dataset.in_memory(results.data.rows, ["<b>&", "$1_$", "cat"]))
    charts = all_charts(marked, climb, uploads)
    for chart in charts:
        ET.fromstring(chart.svg)
        assert "<b>" not in chart.svg
    assert any("$1_$" in chart.svg for chart in charts)  # and not as a formula, which it is no valid one of


def test_uploads_with_both_scores_are_dots(results, climb, uploads):
    """One that waits for its score is left out; before the first upload there is no chart."""
    made = contents.plots(results, climb, uploads)
    assert made["leaderboard"].to_numpy().tolist() == [["1", 0.4, 0.5], ["2", 0.3, 0.45]]
    svg = charts.leaderboard(made["leaderboard"], "log_loss")
    assert ">2</text>" in svg
    assert ">3</text>" not in svg
    none = contents.plots(results, climb, uploads.head(0))
    assert "Leaderboard" not in [chart.title for chart in contents.drawn(results, none)]


def test_many_classes_stay_small(climb):
    """A matrix of 120 classes is a drawing of its filled cells, with as many names as fit."""
    labels = [f"breed {k}" for k in range(120)]
    y = np.random.default_rng(0).integers(120, size=10_000)
    decided = np.where(np.random.default_rng(1).random(10_000) < 0.8, y, (y + 1) % 120)
    svg = charts.confusion(tables.confusion(y, decided, labels), labels)
    assert len(svg) < 200_000
    assert svg.count("breed") < 100


def test_scores_over_time_are_drawn_with_their_commits():
    """A line of text a commit, the newest at the top; nothing where there is no past."""
    table = pd.DataFrame({"commit": ["aaaa 2026-01-01", "now"], "score": [0.4, 0.3], "standard_error": [0.1, 0.1]})
    (chart,) = contents.history(table, "log_loss")
    texts = {element.text: element for element in ET.fromstring(chart.svg).iter("{http://www.w3.org/2000/svg}text")}
    assert float(texts["now"].get("y")) < float(texts["aaaa 2026-01-01"].get("y"))
    assert "log_loss ± standard error" in texts
    assert contents.history(table[:0], "log_loss") == []
