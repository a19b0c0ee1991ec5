"""The comparison of two revisions that lie in memory; tests/pipeline reads real ones through DVC."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from podium import config
from podium.analysis.revisions import ENSEMBLE, Revision
from podium.commands import compare
from podium.contracts.dataset import Dataset
from podium.contracts.folds import FoldTable
from podium.contracts.scores import Scores
from podium.errors import PodiumError
from podium.tasks.binary import Task

pytestmark = pytest.mark.slow

N = 600


def settings(competition="toy", clip=(0.005, 0.995)):
    """Return the part of a config that comparison reads."""
    params = config.Params.model_construct(
        competition=competition,
        submission=config.Submission(clip=clip),
        members={"m": None},
        fusions={},
        finetunes={},
        students={},
        imports=config.Imports(),
    )
    chosen = config.Competition.model_construct(
        title="Toy", task=Task(target="y"), metric="log_loss", metrics=("accuracy", "auc")
    )
    return config.Config.model_construct(params=params, competition=chosen)


def predictions(p, ids):
    """Return a predictions table in an order of its own, with one test row."""
    table = pd.DataFrame({"row_id": ids, "split": "train", "p_0": p.astype(np.float32)})
    table = pd.concat([table, pd.DataFrame({"row_id": ["t"], "split": "test", "p_0": np.float32([0.5])})])
    return Scores.of_table(table.sample(frac=1, random_state=3), ["0", "1"])


def revision(name, skill, seed=1, ids=None, **changes):
    """Return a revision whose logits are `skill` times the truth, plus noise that all revisions share."""
    ids = [f"{k:04d}" for k in range(N)] if ids is None else ids
    shared = np.random.default_rng(0)
    y = shared.integers(2, size=len(ids))
    noise = shared.normal(0, 1, len(ids)) + np.random.default_rng(seed).normal(0, 0.3, len(ids))
    p = 1 / (1 + np.exp(-(skill * (2 * y - 1) + noise)))
    rows = pd.DataFrame({"row_id": ids, "split": "train", "y": y.astype(float), "weight": 1.0, "group": ids})
    folds = pd.DataFrame({"row_id": ids, "repeat": 0, "fold": np.arange(len(ids)) % 5, "group": ids})
    made = Revision(
        name=name,
        config=settings(),
        choices={"seed": seed, "limit": None},
        metrics={"ensemble.cross_fitted.log_loss": round(float(skill), 3)},
        data=Dataset.in_memory(rows, ["0", "1"]),
        folds=FoldTable(folds, "plain"),
        predictions={ENSEMBLE: predictions(p, ids), "m": predictions(p, ids)},
    )
    return replace(made, **changes)


def test_a_better_experiment_is_called_better():
    """The ensemble by every metric, then the shared models by the official one; scores are scikit-learn's."""
    from sklearn.metrics import log_loss

    a, b = revision("main", 1.0), revision("strong", 2.0, seed=2)
    lines = compare.differences(a, b)
    assert [(line.model, line.metric) for line in lines] == [
        (ENSEMBLE, "log_loss"),
        (ENSEMBLE, "accuracy"),
        (ENSEMBLE, "auc"),
        ("m", "log_loss"),
    ]
    table = a.predictions[ENSEMBLE].table().merge(a.data.rows, on="row_id")
    expected = log_loss(table["y"], table["p_0"].astype(float).clip(0.005, 0.995))
    assert lines[0].a == pytest.approx(expected, rel=1e-5)
    assert lines[0].difference.gain == pytest.approx(lines[0].a - lines[0].b)
    assert lines[1].difference.gain == pytest.approx(lines[1].b - lines[1].a)  # higher is better
    assert {line.difference.verdict for line in lines} == {"better"}
    text = compare.text(a, b)
    assert text.splitlines()[0] == "A is main, B is strong: Toy"
    assert "seed  1  2" in text
    assert "limit" not in text
    assert text.splitlines()[-1].startswith("log_loss of the ensemble: B is better: by 0.")


def test_finetunes_and_imports_are_members_too_and_the_unchanged_have_no_row():
    """Whatever the bank holds of both; what predicts the same is counted in a sentence."""
    a, b = revision("main", 1.0), revision("strong", 2.0, seed=2)
    both = settings()
    params = both.params.model_copy(
        update={"finetunes": {"tuned": None}, "imports": config.Imports(predictions={"mate": "mate.csv"})}
    )
    both = config.Config.model_construct(params=params, competition=both.competition)
    a, b = (
        replace(
            side,
            config=both,
            predictions=side.predictions | {"tuned": side.predictions["m"], "mate": a.predictions["m"]},
        )
        for side in (a, b)
    )
    assert {line.model for line in compare.differences(a, b)} == {ENSEMBLE, "m", "tuned", "mate"}
    text = compare.text(a, b)
    assert re.search(r"^  tuned +log_loss .*better$", text, flags=re.MULTILINE)
    assert not re.search(r"^  mate ", text, flags=re.MULTILINE)
    assert "The same in both, and not shown: 1 member." in text
    assert "not shown" not in compare.text(revision("main", 1.0), revision("strong", 2.0, seed=2))


def test_another_seed_cannot_be_told():
    """Same skill, other noise."""
    text = compare.text(revision("main", 1.0), revision("again", 1.0, seed=2))
    assert text.splitlines()[-1].startswith("log_loss of the ensemble: Cannot tell: ")


def test_rows_meet_by_id():
    """The order of a predictions file means nothing."""
    a, b = revision("main", 1.0), revision("strong", 1.2, seed=2)
    shuffled = {name: scores.take(np.arange(len(scores))[::-1]) for name, scores in b.predictions.items()}
    assert compare.text(a, b) == compare.text(a, replace(b, predictions=shuffled))


def test_other_folds_are_said():
    """Paired by image alone, and no interval by folds."""
    a, b = revision("main", 1.0), revision("other", 1.0, seed=2)
    b = replace(b, folds=FoldTable(b.folds.table.assign(fold=b.folds.table["fold"].to_numpy()[::-1]), "plain"))
    assert compare.notes(a, b) == ["The folds differ: A and B are paired by image, not by fold."]
    assert compare.differences(a, b)[0].difference.over_folds is None
    assert compare.notes(a, a) == []


def test_other_images_are_not_paired_and_it_says_so():
    """One image fewer in A makes the comparison an unpaired one, much wider."""
    a, b = revision("main", 1.0), revision("strong", 1.1, seed=2)
    scores = a.predictions[ENSEMBLE]
    without = scores.take(np.flatnonzero(scores.row_id != "0007"))
    fewer = replace(a, predictions=dict.fromkeys((ENSEMBLE, "m"), without))
    paired, unpaired = (compare.differences(left, b)[0].difference for left in (a, fewer))
    assert compare.notes(fewer, b)[0].startswith("The scored rows differ (0 only in main, 1 only in strong)")
    assert paired.verdict == "better"
    assert unpaired.verdict == "cannot tell"
    assert unpaired.interval.high - unpaired.interval.low > 1.5 * (paired.interval.high - paired.interval.low)


def test_a_corrected_label_counts_for_both():
    """Both sides are scored on B's labels, and the number of corrected rows is told."""
    a, b = revision("main", 1.0), revision("strong", 2.0, seed=2)
    rows = b.data.rows
    corrected = Dataset.in_memory(rows.assign(y=rows["y"].where(rows.index >= 7, 1 - rows["y"])), ["0", "1"])
    note = "7 rows have another label in main: both sides are scored on those of strong."
    assert compare.notes(a, replace(b, data=corrected)) == [note]
    same_labels = compare.differences(replace(a, data=corrected), replace(b, data=corrected))
    assert compare.differences(a, replace(b, data=corrected)) == same_labels


def test_groups_are_drawn_together():
    """Twenty rows of a patient are one draw: a gain that one patient makes is no gain."""
    a, b = revision("main", 1.0), revision("strong", 1.2, seed=2)
    grouped = FoldTable(a.folds.table.assign(group=[str(k // 100) for k in range(N)]), "plain")
    alone = compare.differences(a, b)[0].difference
    together = compare.differences(replace(a, folds=grouped), replace(b, folds=grouped))[0].difference
    assert together.over_images != alone.over_images


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": settings(competition="other")}, "nothing to compare: main has toy, b has other"),
        ({"predictions": {ENSEMBLE: None}}, "nothing to compare: main predicts '0', '1', b 'cat', 'dog'"),
    ],
)
def test_what_cannot_be_compared_is_said(changes, message):
    """Another competition, and other labels."""
    b = revision("b", 1.0)
    if "predictions" in changes:
        b.predictions[ENSEMBLE] = replace(b.predictions[ENSEMBLE], labels=("cat", "dog"))
        changes = {}
    with pytest.raises(PodiumError, match=message):
        compare.differences(revision("main", 1.0), replace(b, **changes))
