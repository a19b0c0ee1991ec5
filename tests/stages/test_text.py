"""Texts from the first drawn picture to the report, stage by stage."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from podium import config, paths
from podium.cli import main
from podium.commands import explain, leaks
from podium.contracts import features
from podium.contracts.dataset import Dataset
from podium.contracts.sequences import Sequences
from podium.errors import PodiumError
from podium.serving.ensemble import of_networks
from podium.stages import (
    augment,
    bank,
    download,
    ensemble,
    finetune,
    fold,
    import_predictions,
    prepare,
    report,
    score,
    submit,
)
from podium.tasks import decoding

pytestmark = pytest.mark.keras
COMPETITION = """\
title: Two letters
source:
  {kind: generated, alphabet: AB0, min_length: 1, max_length: 2, width: 80, height: 60, train: 60, test: 20, seed: 1}
layout:
  {kind: table, table: generated.zip#train.csv, image: "generated.zip#train/{id}.png", id: "a{id}", test:
    {table: generated.zip#test.csv, image: "generated.zip#test/{id}.png", id: "b{id}", labelled: true}}
task: {kind: text, target: text, max_length: 2, equal: [0B]}
metric: exact_match
metrics: [lenient_match, character_error_rate]
holdout: null
submission: {columns: [id, text]}
"""
PARAMS = """\
competition: letters
seed: 1
limit: null
folds: {scheme: stratified, k: 2, repeats: 1, file: null}
views: {train: [identity], test: [identity]}
backbones: {}
members: {}
fusions: {}
imports: {predictions: {theirs: theirs.csv}, features: {}}
finetunes:
  reader:
    network: crnn
    options: {width: 8, blocks: 3, hidden: 32}
    resize: {width: 40, height: 30, mode: pad}
    augment: [{shift: 0.05}]
    epochs: 25
    batch: 10
    learning_rate: 0.01
    dropout: 0.0
ensemble: {method: auto}
submission: {clip: null}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder in which all stages have run, and its config."""
    here = tmp_path_factory.mktemp("letters")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("PODIUM_CACHE", str(here / "cache"))
        (here / "competitions").mkdir()
        (here / "competitions/letters.yaml").write_text(COMPETITION)
        (here / "params.yaml").write_text(PARAMS)
        loaded = config.load()
        for stage in (download, prepare, fold, augment):
            stage.run(loaded)
        images = pd.read_parquet(paths.data("letters", "images.parquet"))
        images[["row_id"]].assign(text="A").to_csv("theirs.csv", index=False)
        import_predictions.run(loaded, "theirs")
        finetune.run(loaded, "reader")
        for stage in (bank, ensemble, submit, score, report):
            stage.run(loaded)
        yield here, loaded


def test_new_pictures_get_the_very_texts_of_the_networks_test_rows(finished, tmp_path, monkeypatch):
    """From the archive, by their names in it; the imported member cannot follow."""
    here, loaded = finished
    monkeypatch.chdir(here)
    monkeypatch.setenv("PODIUM_CACHE", str(here / "cache"))
    with zipfile.ZipFile("data/letters/raw/generated.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.startswith("test/"))
        archive.extractall(tmp_path, names)
    out = tmp_path / "p.csv"
    assert main(["predict", str(tmp_path / "test"), "--rows", "{path.stem}", "--out", str(out)]) == 0
    model, _ = of_networks(loaded)
    task, test = loaded.competition.task, Sequences.read(here / "predictions/letters/reader").of_split("test")
    expected = task.submission(model.combine(task, [test]), Dataset(paths.dataset("letters")), ["text"])
    found = pd.read_csv(out, dtype=str)
    assert [f"b{name}" for name in found["id"]] == expected["row_id"].tolist()
    assert found["text"].tolist() == expected["text"].tolist()


def test_train_rows_have_one_model_and_test_rows_those_of_both_folds(finished):
    """Their log-probabilities are kept, by which other strings can be weighed."""
    here, _ = finished
    p = Sequences.read(here / "predictions/letters/reader")
    models = np.diff(p.emissions.offset)
    assert set(models[p.split == "train"]) == {1}
    assert set(models[p.split == "test"]) == {2}
    assert p.emissions.logp.shape == (60 + 2 * 20, 10, 1 + 3)
    assert p.labels == ("0", "A", "B")


def test_an_unseen_text_is_weighed_by_the_model_of_its_own_fold(finished, monkeypatch):
    """A train row's string has the likelihood of the network that did not see the row, computed anew."""
    here, loaded = finished
    monkeypatch.chdir(here)
    monkeypatch.setenv("PODIUM_CACHE", str(here / "cache"))
    where = "params.yaml: finetunes.reader"
    spec = loaded.params.finetunes["reader"]
    work = finetune.Finetuning.read("letters", spec, loaded.competition.task, 1, where)
    p = Sequences.read(here / "predictions/letters/reader").of_split("train")
    model = work.models[1]
    row_id = model.split.valid[0]
    place = work.images.set_index("row_id")["place"][row_id]
    network = work.problem.build(0)
    network.restore(model.kept[0])
    logp = work.problem.kept(network, work.pixels[[place]]).reshape(1, 10, 4)
    row = p.by_id([row_id], "here")
    np.testing.assert_allclose(row.emissions.logp[0], logp[0], atol=0.02)
    codes = [[p.labels.index(char) for char in text] for text in row.text]
    likelihood = decoding.log_likelihood(np.repeat(logp, len(codes), axis=0), codes)
    assert likelihood.argmax() == 0


def test_the_network_reads_what_it_has_not_seen(finished):
    """Far better than the commonest text, out of fold and held out, by the metrics that the competition names."""
    here, _ = finished
    found = json.loads((here / "metrics/ensemble.json").read_text())["cross_fitted"]
    held_out = json.loads((here / "metrics/heldout.json").read_text())
    truth = pd.read_csv(here / "data/letters/solution/solution.csv", dtype=str)["text"]
    commonest = truth.value_counts(normalize=True).iloc[0]
    assert held_out["exact_match"] > commonest + 0.1
    assert found["lenient_match"] >= found["exact_match"]


def test_the_held_out_score_is_that_of_the_submitted_file(finished):
    """Joined by id, character by character."""
    here, _ = finished
    submitted = pd.read_csv(here / "submissions/letters.csv", dtype=str, keep_default_na=False)
    truth = pd.read_csv(here / "data/letters/solution/solution.csv", dtype=str, keep_default_na=False)
    both = submitted.merge(truth, left_on="id", right_on="row_id", validate="one_to_one")
    held_out = json.loads((here / "metrics/heldout.json").read_text())
    assert held_out["exact_match"] == pytest.approx((both["text_x"] == both["text_y"]).mean(), abs=1e-6)


def test_test_labels_stay_in_the_solution(finished):
    """Neither the rows nor the targets of other stages hold them."""
    here, _ = finished
    texts = pd.read_parquet(here / "data/letters/targets/texts.parquet")
    assert set(texts["row_id"].str[0]) == {"a"}
    rows = pd.read_parquet(here / "data/letters/rows.parquet")
    assert rows.loc[rows["split"] == "test", "y"].isna().all()


def test_a_network_that_reads_has_no_features_for_heads(finished):
    """Its file holds no row, and says how the network was made."""
    here, _ = finished
    found = features.read(here / "features/letters/reader.h5")
    assert found.index.empty
    assert found.attributes["resize"] == "40 x 30 px, pad, area"


def test_leaks_are_looked_for_where_texts_have_them(finished, monkeypatch, capsys):
    """Copies and groups; a text is no class that a picture's size could give away."""
    here, loaded = finished
    monkeypatch.chdir(here)
    leaks.run(loaded)
    assert "no leak found" in capsys.readouterr().out


def test_evidence_is_shown_for_classes_and_values_alone(finished, monkeypatch):
    """In one line, before anything is read."""
    here, loaded = finished
    monkeypatch.chdir(here)
    with pytest.raises(PodiumError, match=r"explain: it shows evidence for classes and values; .* task is text"):
        explain.run(loaded, [], None)


def test_the_report_shows_texts_beside_their_pictures(finished):
    """Charts of characters, and a table of each for DVC to plot."""
    here, _ = finished
    page = (here / "reports/letters/report.html").read_text()
    assert "Confusion of characters" in page
    assert "Exact match by length" in page
    places = pd.read_csv(here / "reports/letters/places.csv")
    assert places["place"].tolist() == [1, 2]
