"""What to do next: each sentence says what was put into the results, and is silent where there is nothing."""

import numpy as np
import pandas as pd
import pytest

from podium.analysis.report import advice
from podium.analysis.report.panels.scores import Panels
from podium.contracts.folds import FoldTable


def texts(found):
    return " ".join(one.text for one in found)


def test_worst_class_and_most_confused_pair():
    """By counts that can be read off."""
    actual = ["ant"] * 20 + ["bee"] * 10 + ["cat"] * 10
    predicted = ["ant"] * 19 + ["cat"] + ["bee"] * 4 + ["ant"] * 5 + ["cat"] + ["cat"] * 10
    found = advice.of_classes(pd.DataFrame({"actual": actual, "predicted": predicted}))
    assert found[0].text == "bee is found in 40% of its 10 rows, the least of 3 classes (all: 82%)."
    assert found[0].link == "#gallery&label=bee"
    assert found[1].text == "bee is taken for ant 5 times (50% of its rows): the most confused pair."
    assert found[1].link == "#gallery&reason=mistake&label=bee"
    assert advice.of_classes(pd.DataFrame({"actual": actual, "predicted": actual})) == []


def test_members_that_do_not_help():
    """Those without weight are named, and those below a constant are an alarm; the direction counts."""
    bank = pd.DataFrame(
        {
            "member": ["good", "idle", "bad"],
            "accuracy": ["0.9", "0.8", "0.4"],
            "weight": ["1.0", "0.0", "0.0"],
            "constant": ["0.5", "0.5", "0.5"],
        }
    )
    found = advice.of_members(bank, "accuracy", -1)
    assert found[0].is_alarm
    assert found[0].text == "bad is worse than a constant: accuracy 0.4000, for 0.5000."
    assert found[1].text == "2 of 3 members have no weight in the ensemble and can go: idle, bad."
    assert len(advice.of_members(bank[:1], "accuracy", -1)) == 0


def test_ranges_that_are_off():
    """Sure of 90 % where 70 % come true, with enough rows to know; a small gap is none."""
    table = pd.DataFrame({"predicted": [0.1, 0.5, 0.9], "observed": [0.11, 0.52, 0.7], "count": [500, 30, 200]})
    [found] = advice.of_calibration(table)
    assert found.text == "Probabilities about 90% come true in 70% of 200 cases: the ensemble is too sure there."
    assert advice.of_calibration(table.assign(count=4)) == []
    assert advice.of_calibration(table[:2]) == []


@pytest.mark.parametrize(("sign", "weak"), [(1, 0.6), (-1, 0.1)])
def test_a_weak_fold(sign, weak):
    """Far worse than the others, in the metric's direction; an ordinary spread is none."""
    scores = pd.DataFrame({"model": "ensemble", "repeat": 0, "fold": range(5), "score": [0.3, 0.31, 0.32, 0.3, weak]})
    [found] = advice.of_folds(scores, 0.02, sign, "log_loss")
    assert found.text.startswith(f"Fold 4 is weak: log_loss {weak:.4f}")
    assert advice.of_folds(scores, 0.02, -sign, "log_loss") == []
    assert advice.of_folds(scores, 0.2, sign, "log_loss") == []


def test_leaks_are_alarms():
    """A group in two folds, and copies across folds; none where groups are whole."""
    ids = [f"r{k}" for k in range(4)]
    rows = pd.DataFrame({"row_id": ids, "split": "train", "y": [0.0, 1, 0, 1], "weight": 1.0, "group": list("aabb")})
    images = pd.DataFrame({"image_id": ids, "row_id": ids, "split": "train", "digest": ids})
    pairs = pd.DataFrame({"a": ["r0"], "b": ["r2"], "kind": "exact", "distance": 0, "orientation": "identity"})

    def found(fold, pairs):
        table = pd.DataFrame({"row_id": ids, "repeat": 0, "fold": fold, "group": rows["group"]})
        return advice.of_leaks(pairs, images, rows, FoldTable(table, "plain"))

    assert found([0, 0, 1, 1], pairs[:0]) == []
    [one] = found([0, 1, 1, 1], pairs[:0])
    assert one.is_alarm
    assert "1 groups are split over folds: 'a'" in one.text
    assert "copies in different folds: 1 pairs" in texts(found([0, 0, 1, 1], pairs))


def test_the_noise_floor_is_the_error_of_a_paired_difference(make_results):
    """By hand from the rows' losses; and wrong labels and quarantined images are counted."""
    results = make_results("binary")
    y, rows = results.y, np.arange(len(results.ids))

    def losses(p):
        return -np.log(np.where(y == 1, p, 1 - p).astype(np.float64))

    difference = losses(results.p.p[:, 0]) - losses(results.members["good"].p[:, 0])
    expected = 1.96 * difference.std(ddof=1) / np.sqrt(len(rows))
    text = advice.of_noise(results).text
    assert float(text.split(" below ")[1].split(",")[0]) == pytest.approx(expected, rel=0.3)
    assert "as between the ensemble and good" in text
    panels = Panels()
    found = panels.advice(results, panels.plots(results))
    [labels] = [one for one in found if "labels" in one.text]
    assert labels.link == "#gallery&reason=label"
    audit = {"quarantined": [{}] * 3}
    assert advice.of_audit(audit, 97)[0].text.startswith("3 of 100 images (3.0%) cannot be read")
    assert advice.of_audit({"quarantined": []}, 97) == []
