"""What a change in params.yaml recomputes, seen by running DVC."""

import json
import shutil

import pandas as pd
import pytest

AFTER_FIT = {"bank", "ensemble", "submit", "score", "report"}
EXTRACTS = {"extract@colour", "extract@shape"}


def test_a_second_repro_runs_nothing(workspace):
    """A finished pipeline has nothing to do, whatever the machine settings."""
    run = workspace.repro_ok()
    assert not run.ran
    assert not run.restored


def test_machine_settings_invalidate_nothing(workspace, monkeypatch):
    """The number of workers changes the speed and no number, so no stage runs."""
    base = workspace.env()
    monkeypatch.setattr(workspace, "env", lambda: base | {"PODIUM_WORKERS": "1"}, raising=False)
    assert not workspace.repro_ok().ran


def test_a_member_param_runs_its_fit_and_what_follows(workspace):
    """Another C refits that member alone; the bank's manifest, the ensemble and the submission follow."""

    def change(params):
        params["members"]["logistic_colour"]["C"] = 1.0

    workspace.edit(change)
    assert workspace.repro_ok().ran == {"fit@logistic_colour"} | AFTER_FIT


@pytest.mark.parametrize(("section", "key", "value"), [("seed", None, 7), ("folds", "k", 4)])
def test_seed_and_folds_re_extract_nothing(workspace, section, key, value):
    """Folds are not what extraction reads."""

    def change(params):
        if key is None:
            params[section] = value
        else:
            params[section][key] = value

    workspace.edit(change)
    run = workspace.repro_ok()
    assert "fold" in run.ran
    assert not run.ran & EXTRACTS


def test_a_changed_backbone_computes_its_own_rows(workspace):
    """Another input size recomputes that backbone and refits only what uses it."""

    def change(params):
        params["backbones"]["shape"]["resize"]["px"] = 48

    workspace.edit(change)
    run = workspace.repro_ok()
    assert (
        run.ran
        == {
            "extract@shape",
            "fit@logistic_shape",
            "gather@logistic_both",
            "fuse@logistic_both",
        }
        | AFTER_FIT
    )
    assert run.rows() == {"shape": 96}


def test_an_added_backbone_runs_no_existing_fit_or_fuse(workspace):
    """A new backbone with a member computes its rows; no other model is fitted again."""

    def change(params):
        params["backbones"]["small"] = {"network": "hog", "resize": {"px": 16}}
        params["members"]["logistic_small"] = {"backbone": "small", "head": "logistic", "C": 0.1}

    workspace.edit(change)
    run = workspace.repro_ok()
    assert run.rows() == {"small": 96}
    fitted = {stage for stage in run.ran if stage.startswith(("fit@", "fuse@"))}
    assert fitted == {"fit@logistic_small"}


def test_reordered_params_run_nothing(workspace):
    """The order of entries in params.yaml means nothing."""

    def change(params):
        for section in ("backbones", "members"):
            for name in sorted(params[section]):
                params[section].move_to_end(name, last=False)

    before = workspace.bytes("params.yaml")
    workspace.edit(change)
    assert workspace.bytes("params.yaml") != before
    assert not workspace.repro_ok().ran


def test_a_reverted_param_is_restored(workspace):
    """Going back to a value that ran before takes the outputs from DVC's run cache."""

    def change(value):
        def apply(params):
            params["members"]["logistic_colour"]["C"] = value
            params["backbones"]["shape"]["resize"]["px"] = 32 if value == 0.1 else 48

        return apply

    submission = workspace.bytes("submissions/toy.csv")
    workspace.edit(change(1.0))
    workspace.repro_ok()
    assert workspace.bytes("submissions/toy.csv") != submission
    workspace.edit(change(0.1))
    run = workspace.repro_ok()
    assert not {stage for stage in run.ran if stage.startswith(("extract", "fit", "fuse"))}
    assert workspace.bytes("submissions/toy.csv") == submission


def test_a_removed_backbone_leaves_the_ensemble_right(workspace):
    """Files of a removed member stay on disk and are never picked up again."""

    def change(params):
        del params["backbones"]["shape"]
        del params["members"]["logistic_shape"]
        del params["fusions"]["logistic_both"]

    workspace.edit(change)
    workspace.repro_ok()
    assert (workspace.path / "predictions/toy/logistic_shape.parquet").exists()
    bank = pd.read_csv(workspace.path / "ensembles/toy.bank.csv")
    assert list(bank["member"]) == ["logistic_colour"]
    assert list(bank["weight"]) == [1.0]


def test_a_corrected_label_computes_no_row(workspace):
    """Labels are not what extraction reads: its rows all come from the row cache."""
    labels = workspace.path / "incoming/labels.csv"
    labels.write_text(labels.read_text().replace("003,1", "003,0"))
    assert workspace.call("dvc", "repro", "-f", "-s", "download").returncode == 0
    run = workspace.repro_ok()
    assert "fit@logistic_colour" in run.ran
    assert set(run.rows().values()) <= {0}


def test_new_images_compute_their_rows_only(workspace):
    """Two more images, each with two views: four rows a backbone, whatever was there before."""
    images = workspace.path / "incoming/images"
    labels = workspace.path / "incoming/labels.csv"
    for new, old in (("900", "000"), ("901", "001")):
        data = bytearray((images / f"{old}.png").read_bytes())
        # Bytes after the end of the PNG change its digest and no pixel.
        (images / f"{new}.png").write_bytes(data + new.encode())
        labels.write_text(labels.read_text() + f"{new},{int(old) % 2}\n")
    assert workspace.call("dvc", "repro", "-f", "-s", "download").returncode == 0
    assert workspace.repro_ok().rows() == {"colour": 4, "shape": 4}


def test_two_fresh_clones_give_the_same_bytes(finished, make_workspace, tmp_path):
    """Same input, same bytes: nothing depends on paths, clocks or the order of a folder."""
    other = make_workspace(tmp_path / "elsewhere/deeper")
    other.repro_ok()
    for file in ("submissions/toy.csv", "features/toy/shape.h5", "ensembles/toy.parquet", "metrics/ensemble.json"):
        assert other.bytes(file) == finished.bytes(file), file


def test_switching_the_competition_and_back_runs_nothing(workspace):
    """Another competition's outputs stand beside the first one's."""
    yaml = workspace.path / "competitions"
    shutil.copy(yaml / "toy.yaml", yaml / "toy-two.yaml")
    workspace.edit(lambda params: params.update(competition="toy-two"))
    workspace.repro_ok()
    submission = workspace.bytes("submissions/toy.csv")
    assert submission == workspace.bytes("submissions/toy-two.csv")
    workspace.edit(lambda params: params.update(competition="toy"))
    run = workspace.repro_ok()
    assert not run.ran
    assert workspace.bytes("submissions/toy.csv") == submission


def test_the_solution_is_read_by_score_alone(workspace):
    """No other stage sees the held-out labels: with a spoilt solution file, all others give the same bytes."""
    files = ["data/toy/folds.parquet", "ensembles/toy.parquet", "submissions/toy.csv", "metrics/ensemble.json"]
    files += ["predictions/toy/logistic_colour.parquet", "predictions/toy/logistic_both.parquet"]
    before = {file: workspace.bytes(file) for file in files}
    solution = workspace.path / "data/toy/solution.csv"
    solution.unlink()
    solution.write_text("spoilt")
    commands = ["fold", "augment", "extract colour", "fit logistic_colour", "gather logistic_both"]
    for command in [*commands, "fuse logistic_both", "bank", "ensemble", "submit"]:
        done = workspace.call("podium", *command.split())
        assert done.returncode == 0, done.stdout
    assert {file: workspace.bytes(file) for file in files} == before
    done = workspace.call("podium", "score")
    assert done.returncode == 2, done.stdout
    assert "solution.csv" in done.stdout


def test_experiments_take_a_member_param(workspace):
    """`dvc exp run -S` changes one choice and leaves its metrics for comparison."""
    workspace.call("git", "add", "-A")
    workspace.call("git", "commit", "-qm", "ran")
    done = workspace.call("dvc", "exp", "run", "-n", "weaker", "-S", "members.logistic_colour.C=0.001")
    assert done.returncode == 0, done.stdout
    shown = workspace.call("dvc", "metrics", "diff", "HEAD", "weaker", "--json")
    changed = json.loads(shown.stdout)
    assert changed["diff"]["metrics/ensemble.json"]
