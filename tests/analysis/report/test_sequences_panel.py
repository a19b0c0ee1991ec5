"""What the report shows of texts."""

import numpy as np
import pandas as pd
import pytest

from podium.analysis.report.panels.sequences import NONE, Panels, aligned, by_place
from podium.analysis.report.results import Results
from podium.contracts.dataset import Dataset
from podium.contracts.sequences import Sequences
from podium.fitting.scoring import Scoring, Submission
from podium.metrics import METRICS
from podium.tasks.text import Task

Y = np.array(["AB", "0O", "BBA", "AA"], object)
READ = ["AB", "00", "BA", "AB"]
CONFIDENCE = [0.9, 0.8, 0.6, 0.99]


@pytest.fixture
def results():
    """Four rows, of which the first is read right; a second member reads the first wrongly."""
    ids = np.array(["r0", "r1", "r2", "r3"], object)
    p = Sequences.of_texts(ids, "train", READ, "0ABO")
    p = Sequences(**{**vars(p), "logp": np.log(CONFIDENCE).astype(np.float32)})
    other = Sequences.of_texts(ids, "train", ["BB", *READ[1:]], "0ABO")
    return Results(
        scoring=Scoring(Task(target="x"), (METRICS["exact_match"],), Submission()),
        data=Dataset.in_memory(pd.DataFrame({"row_id": ids, "weight": 1.0}), list("0ABO")),
        ids=ids,
        y=Y,
        p=p,
        members={"one": p, "other": other},
        weight=None,
        folds=pd.DataFrame({"position": range(4), "repeat": 0, "fold": [0, 0, 1, 1]}),
    )


def test_characters_are_compared_where_an_edit_puts_them():
    """Place by place where lengths agree; else along a shortest edit, with gaps."""
    assert aligned("0O", "00") == [("0", "0"), ("O", "0")]
    assert aligned("BBA", "BA") in ([("B", "B"), ("B", NONE), ("A", "A")], [("B", NONE), ("B", "B"), ("A", "A")])
    assert aligned("A", "XA") == [(NONE, "X"), ("A", "A")]
    assert aligned("kitten", "sitting").count((NONE, "g")) == 1


def test_accuracy_by_place_counts_the_texts_that_reach_it():
    """The third place is of one text, which was read too short."""
    table = by_place(Y, READ)
    assert table.to_numpy().tolist() == [[1, 1.0, 4], [2, 0.25, 4], [3, 0.0, 1]]


def test_the_panels_of_texts(results):
    """The surest mistake first; charts of confusion, places and lengths that name what is confused."""
    panels = Panels()
    ranked = panels.ranked(results)
    assert ranked["mistake"].tolist() == [3, 1, 2]
    assert ranked["uncertain"].tolist()[0] == 2
    assert ranked["disagreement"].tolist() == [0]
    plots = panels.plots(results)
    assert plots["lengths"].to_numpy().tolist() == [[2, 1 / 3, 3], [3, 0.0, 1]]
    charts = panels.charts(results, plots)
    assert [chart.title for chart in charts] == [
        "Confusion of characters",
        "Accuracy by place",
        "Exact match by length",
    ]
    assert "O as 0 1 times" in charts[0].note
    assert all(chart.svg.startswith("<svg") for chart in charts)
    assert panels.labels(results)[1] == "0O"
    assert panels.predictions(results)[1] == "00 80%"
