"""Every task's submission by the kernel of a bundle is podium's own; a task that cannot leave says so at once."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from podium.cli import main
from podium.serving import bundle as bundles

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("rehearsals")]
ROOT = Path(__file__).parents[2]

COMPETITION = """\
title: Shades
source: {{kind: folder, path: incoming}}
layout: {{kind: table, table: labels.csv, id: id, image: "images/{{id}}.png"}}
task: {task}
metric: {metric}
metrics: []
holdout: {{fraction: 0.25, seed: 1}}
submission: {{columns: [id, {columns}]}}
"""
PARAMS = """\
competition: toy
seed: 1
limit: null
folds: {{scheme: plain, k: 3, repeats: 1, file: null}}
views: {{train: [identity], test: [identity, hflip]}}
backbones:
  colour: {{network: color_histogram}}
members:
  first: {{backbone: colour, head: {head}}}
  second: {{backbone: colour, head: knn}}
finetunes: {{}}
imports: {{predictions: {{}}, features: {{}}}}
fusions: {{}}
ensemble: {{method: mean}}
submission: {{clip: null}}
"""
# Task, metric, head, the submission's columns, and a row's label by its shade from 0 to 3.
TASKS = {
    "regression": ("{kind: regression, target: y}", "rmse", "ridge", "y", lambda n: n * 1.5),
    "ordinal": ("{kind: ordinal, target: y, low: 0, high: 3}", "quadratic_weighted_kappa", "ridge", "y", lambda n: n),
    "binary": (
        "{kind: binary, target: y, positive: 'yes', answer: label}",
        "accuracy",
        "logistic",
        "y",
        lambda n: ["no", "yes"][n > 1],
    ),
    "multiclass": ("{kind: multiclass, target: y, top: 2}", "map@2", "logistic", "y", lambda n: "abcd"[n]),
    "columns": ("{kind: multiclass, target: y}", "log_loss", "logistic", "a, b, c, d", lambda n: "abcd"[n]),
    "multilabel": (
        "{kind: multilabel, target: y, threshold: learnt}",
        "f1_samples",
        "logistic",
        "y",
        lambda n: ["a", "a b", "b c", "a b c"][n],
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_the_kernels_submission_is_podiums_own(name, tmp_path, monkeypatch, installed, run_stages):
    """On more rows than the public test set, without a network; labels are the same labels, numbers within 1e-6."""
    task, metric, head, columns, label = TASKS[name]
    (tmp_path / "competitions").mkdir()
    (tmp_path / "competitions/toy.yaml").write_text(COMPETITION.format(task=task, metric=metric, columns=columns))
    (tmp_path / "params.yaml").write_text(PARAMS.format(head=head))
    (tmp_path / "incoming/images").mkdir(parents=True)
    rng, lines = np.random.default_rng(0), ["id,y"]
    for n in range(40):
        shade = n % 4
        pixels = np.clip(rng.normal(40 + 50 * shade, 25, (12, 14, 3)), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(tmp_path / f"incoming/images/p{n:02d}.png"), pixels)
        lines.append(f"p{n:02d},{label(shade)}")
    (tmp_path / "incoming/labels.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / ".podium"))
    run_stages()
    monkeypatch.setattr(bundles, "_collect", lambda _requirements, folder, _given: folder.mkdir())
    rehearse = bundles.rehearse
    monkeypatch.setattr(
        bundles, "rehearse", lambda config, target, stage, *rest: rehearse(config, target, stage, installed, *rest[1:])
    )
    assert main(["bundle", "--user", "somebody"]) == 0
    facts = json.loads(Path("bundles/toy/rehearsal.json").read_text())
    assert facts["passed"]
    assert facts["rows"] == 10 + 5 + 2
    assert facts["difference"] <= 1e-6


@pytest.mark.parametrize("words", [["export"], ["bundle", "--user", "me"], ["serve", "--port", "0"]])
def test_text_cannot_leave_and_says_so_before_any_work(tmp_path, monkeypatch, capsys, words):
    """There is nothing here but the YAMLs: whatever was tried would fail in another way."""
    (tmp_path / "competitions").mkdir()
    shutil.copy(ROOT / "competitions/arithmetic.yaml", tmp_path / "competitions")
    shutil.copy(ROOT / "recipes/arithmetic.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "arithmetic.yaml: task: export, bundle and serve are for classes and values only, and not for text" in said
    assert said.count("\n") == 1
