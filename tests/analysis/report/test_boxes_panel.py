"""What the report shows of boxes."""

import numpy as np
import pandas as pd
import pytest

from podium.analysis.report.panels.boxes import Panels
from podium.analysis.report.results import Results
from podium.contracts.boxes import Annotated, Boxes
from podium.contracts.dataset import Dataset
from podium.fitting.scoring import Scoring, Submission
from podium.metrics import find
from podium.tasks.boxes import Task

BOX, OTHER = [10, 10, 30, 30], [50, 50, 90, 90]


@pytest.fixture
def results():
    """One row all right, one with a miss and a false alarm, one empty with a false alarm."""
    y = np.empty(3, object)
    y[0], y[1] = (
        Annotated(np.array(boxes, np.float32), np.zeros(len(boxes), np.int64)) for boxes in ([BOX], [BOX, OTHER])
    )
    y[2] = Annotated(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    parts = [
        (np.array(boxes), np.array(scores), np.zeros(len(boxes)))
        for boxes, scores in (([BOX], [0.9]), ([BOX, [0, 60, 20, 80]], [0.85, 0.35]), ([OTHER], [0.75]))
    ]
    ids = np.array(["r0", "r1", "r2"], object)
    p = Boxes.of_parts(ids, "train", parts, ["tree"])
    task = Task(classes=("tree",), annotations={"format": "voc", "source": "x"})
    return Results(
        scoring=Scoring(task, (find("f1@0.4", "x"),), Submission()),
        data=Dataset.in_memory(pd.DataFrame({"row_id": ids, "weight": 1.0}), ["tree"]),
        ids=ids,
        y=y,
        p=p,
        members={"one": p},
        weight=None,
        folds=pd.DataFrame({"position": range(3), "repeat": 0, "fold": [0, 0, 1]}),
    )


def test_the_panels_of_boxes(results):
    """Misses and false alarms are counted, by score, side and picture; the worst picture comes first."""
    panels = Panels()
    plots = panels.plots(results)
    assert plots["confidence"]["right"].sum() == 2
    assert plots["confidence"].set_index("score").loc[0.7, "false_alarms"] == 1
    assert plots["sides"][["found", "missed"]].sum().tolist() == [2, 1]
    assert plots["parts"]["part"].tolist() == ["tree", "small", "medium"]
    assert plots["precision_recall"]["recall"].iloc[-1] == pytest.approx(2 / 3)
    assert panels.ranked(results)["mistake"].tolist() == [1, 2]
    assert panels.labels(results) == ["1 tree", "2 tree", "none"]
    assert panels.predictions(results)[1] == "2 tree; 1 missed, 1 false alarms"
    drawn = panels.charts(results, plots)
    assert [chart.svg[:4] for chart in drawn] == ["<svg"] * 3
    assert "1 of 3 are missed" in drawn[2].note


def test_pictures_carry_their_boxes(results):
    """Found, missed and wrong in colours of their own; a picture of another row stays as it is."""
    blank = np.zeros((100, 100, 3), np.uint8)
    panels = Panels()
    picture = panels.drawn(results, "r1", blank)
    assert picture[50, 70].tolist() == [255, 140, 0]  # missed
    assert picture[60, 10].tolist() == [230, 30, 30]  # a false alarm
    assert picture[10, 20].tolist() == [60, 220, 60]  # right
    assert not panels.drawn(results, "elsewhere", blank).any()
