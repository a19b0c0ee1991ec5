"""What a change in params.yaml recomputes, seen by running DVC.

Each test is a short history of one work tree, because every `dvc repro` costs seconds.
"""

import json
import shutil

import pandas as pd

AFTER_FIT = {"bank", "ensemble", "submit", "score", "report"}
FILES = ["submissions/toy.csv", "features/toy/shape.h5", "ensembles/toy/scores.parquet", "metrics/ensemble.json"]


def member_c(value):
    def change(params):
        params["members"]["logistic_colour"]["C"] = value

    return change


def shape_px(value):
    def change(params):
        params["backbones"]["shape"]["resize"]["px"] = value

    return change


def reorder(params):
    for section in ("backbones", "members", "fusions"):
        for name in sorted(params[section]):
            params[section].move_to_end(name, last=False)


def test_what_changes_no_number_runs_nothing(workspace):
    """A second repro, another number of workers, and reordered params have nothing to do."""
    again = workspace.repro_ok()
    assert not again.ran | again.restored
    order = workspace.bytes("params.yaml")
    workspace.edit(reorder)
    assert workspace.bytes("params.yaml") != order
    workspace.settings["PODIUM_WORKERS"] = "1"
    assert not workspace.repro_ok().ran


def test_a_members_param_and_back(workspace):
    """Another C refits that member and what follows it; the old C takes everything from DVC's run cache."""
    submission = workspace.bytes("submissions/toy.csv")
    workspace.edit(member_c(1.0))
    assert workspace.repro_ok().ran == {"fit@logistic_colour"} | AFTER_FIT
    assert workspace.bytes("submissions/toy.csv") != submission
    workspace.edit(member_c(0.1))
    run = workspace.repro_ok()
    assert not {stage for stage in run.ran if stage.startswith(("extract", "fit", "fuse"))}
    assert workspace.bytes("submissions/toy.csv") == submission


def test_seed_and_folds_re_extract_nothing(workspace):
    """Folds are not what extraction reads: neither seed nor k reaches it."""

    def change(params):
        params["seed"] = 7
        params["folds"]["k"] = 4

    workspace.edit(change)
    run = workspace.repro_ok()
    assert {"fold", "fit@logistic_colour", "fit@logistic_shape", "fuse@logistic_both"} <= run.ran
    assert not {stage for stage in run.ran if stage.startswith("extract")}


def test_a_backbone_changed_added_and_removed(workspace):
    """Each computes one backbone's rows at most, and refits only what uses it."""
    workspace.edit(shape_px(48))
    run = workspace.repro_ok()
    used = {"extract@shape", "fit@logistic_shape", "gather@logistic_both", "fuse@logistic_both"}
    assert run.ran == used | AFTER_FIT
    assert run.rows() == {"shape": 96}

    def add(params):
        params["backbones"]["small"] = {"network": "hog", "resize": {"px": 16}}
        params["members"]["logistic_small"] = {"backbone": "small", "head": "logistic", "C": 0.1}

    workspace.edit(add)
    run = workspace.repro_ok()
    assert run.rows() == {"small": 96}
    assert {stage for stage in run.ran if stage.startswith(("fit", "fuse"))} == {"fit@logistic_small"}

    def remove(params):
        del params["backbones"]["shape"], params["members"]["logistic_shape"]
        del params["fusions"]["logistic_both"], params["members"]["logistic_small"]

    workspace.edit(remove)
    run = workspace.repro_ok()
    assert not {stage for stage in run.ran if stage.startswith(("extract", "fit", "fuse"))}
    # The removed members' files still lie there, and nobody picks them up.
    assert (workspace.path / "predictions/toy/logistic_shape").exists()
    bank = pd.read_csv(workspace.path / "ensembles/toy/bank.csv")
    assert list(bank["member"]) == ["logistic_colour"]
    assert list(bank["weight"]) == [1.0]


def test_new_data_computes_its_own_rows(workspace):
    """A corrected label computes no row; two more images with two views compute four, whatever was there before."""
    images, labels = workspace.path / "incoming/images", workspace.path / "incoming/labels.csv"
    labels.write_text(labels.read_text().replace("003,1", "003,0"))
    run = workspace.repro_ok()
    assert "download" in run.ran
    assert "fit@logistic_colour" in run.ran
    assert set(run.rows().values()) <= {0}
    for new, old in (("900", "000"), ("901", "001")):
        # Bytes after the end of a PNG change its digest and no pixel.
        (images / f"{new}.png").write_bytes((images / f"{old}.png").read_bytes() + new.encode())
        labels.write_text(labels.read_text() + f"{new},{int(old) % 2}\n")
    assert workspace.repro_ok().rows() == {"colour": 4, "shape": 4}


def test_two_fresh_clones_give_the_same_bytes(finished, make_workspace, tmp_path):
    """Same input, same bytes: nothing depends on paths, clocks or the order of a folder."""
    other = make_workspace(tmp_path / "elsewhere/deeper")
    other.repro_ok()
    for file in FILES:
        assert other.bytes(file) == finished.bytes(file), file
    # Every output of every stage, by its hash: no clock is in any of them.
    assert other.bytes("dvc.lock") == finished.bytes("dvc.lock")


def test_switching_the_competition_and_back_runs_nothing(workspace):
    """Another competition's outputs stand beside the first one's, and share the row cache."""
    competitions = workspace.path / "competitions"
    shutil.copy(competitions / "toy.yaml", competitions / "toy-two.yaml")
    workspace.edit(lambda params: params.update(competition="toy-two"))
    run = workspace.repro_ok()
    assert set(run.rows().values()) == {0}
    submission = workspace.bytes("submissions/toy.csv")
    assert submission == workspace.bytes("submissions/toy-two.csv")
    workspace.edit(lambda params: params.update(competition="toy"))
    assert not workspace.repro_ok().ran
    assert workspace.bytes("submissions/toy.csv") == submission


def test_the_solution_is_read_by_score_alone(workspace):
    """No other stage sees the held-out labels: with a spoilt solution file, all others give the same bytes."""
    made = [*FILES, "data/toy/folds.parquet", "predictions/toy/logistic_colour/scores.parquet"]
    before = {file: workspace.bytes(file) for file in made}
    solution = workspace.path / "data/toy/solution/solution.csv"
    solution.unlink()
    solution.write_text("spoilt")
    commands = ["fold", "augment", "extract shape", "fit logistic_colour", "gather logistic_both"]
    for command in [*commands, "fuse logistic_both", "bank", "ensemble", "submit", "report"]:
        done = workspace.call("podium", *command.split())
        assert done.returncode == 0, done.stdout
    assert {file: workspace.bytes(file) for file in made} == before
    done = workspace.call("podium", "score")
    assert done.returncode == 2, done.stdout
    assert "solution.csv" in done.stdout


def test_an_experiment_takes_a_members_param(workspace):
    """`dvc exp run -S` changes one choice and leaves its metrics for comparison."""
    workspace.call("git", "add", "-A")
    workspace.call("git", "commit", "-qm", "ran")
    done = workspace.call("dvc", "exp", "run", "-n", "weaker", "-S", "members.logistic_colour.C=0.001")
    assert done.returncode == 0, done.stdout
    shown = workspace.call("dvc", "metrics", "diff", "HEAD", "weaker", "--json")
    assert json.loads(shown.stdout)["metrics/ensemble.json"]["cross_fitted.log_loss"]["diff"] != 0


def test_a_mistake_in_params_is_one_line_through_dvc(workspace):
    """`dvc repro` shows podium's line and fails; nothing that was finished is lost."""
    before = {file: workspace.bytes(file) for file in FILES}

    def change(params):
        params["backbones"]["shape"]["network"] = "hogg"

    workspace.edit(change)
    run = workspace.repro()
    assert run.returncode == 255
    assert "podium: params.yaml: backbones.shape.network: unknown network 'hogg'; choose one of: " in run.output
    assert "Traceback" not in run.output
    workspace.edit(lambda params: params["backbones"]["shape"].update(network="hog"))
    assert workspace.repro_ok().rows() == {}
    assert {file: workspace.bytes(file) for file in FILES} == before


def test_tables_from_elsewhere_are_a_member_and_a_backbone(workspace):
    """They run their own stages and what comes after the bank; a head on imported features is a member like any."""
    workspace.add_imports()
    clip = {"backbone": "clip", "head": "logistic", "C": 0.1}
    workspace.edit(lambda params: params["members"].update(logistic_clip=clip))
    run = workspace.repro_ok()
    made = {"import_features@clip", "fit@logistic_clip", "import_predictions@mate", "bank", "ensemble"}
    assert made <= run.ran
    assert not {stage for stage in run.ran if stage.startswith(("prepare", "extract", "fuse"))}
    assert run.ran & {"fit@logistic_colour", "fit@logistic_shape"} == set()
    table = pd.read_csv(workspace.path / "ensembles/toy/bank.csv")
    assert {"mate", "logistic_clip"} <= set(table["member"])
