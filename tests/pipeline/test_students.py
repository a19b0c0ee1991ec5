"""A student among DVC's stages: taught by the bank, and a member of it, without a cycle."""

import pandas as pd


def costly(run):
    """Return the stages that ran and take long."""
    return {stage for stage in run.ran if stage.startswith(("extract", "fit", "fuse", "teach"))}


def test_a_student_joins_the_bank_of_its_teachers(workspace):
    """Added, it runs alone; a teacher that changes teaches it anew, and a change of its own fits no teacher."""
    workspace.add_student()
    assert costly(workspace.repro_ok()) == {"teach@pupil"}
    table = pd.read_csv(workspace.path / "ensembles/toy/bank.csv")
    assert {"pupil", "logistic_both", "logistic_colour"} <= set(table["member"])
    targets = pd.read_parquet(workspace.path / "students/toy/pupil/targets.parquet")
    assert sorted(targets["fold"].unique()) == [0, 1, 2]

    workspace.edit(lambda params: params["students"]["pupil"].update(confidence=0.6))
    assert costly(workspace.repro_ok()) == {"teach@pupil"}

    workspace.edit(lambda params: params["members"]["logistic_shape"].update(C=0.2))
    assert costly(workspace.repro_ok()) == {"fit@logistic_shape", "teach@pupil"}
    assert workspace.repro_ok().ran == set()
