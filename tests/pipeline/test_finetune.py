"""A finetune among DVC's stages: its predictions join the bank, and its features are a backbone's."""

import shutil

import pandas as pd


def costly(run):
    """Return the stages that ran and take long; the manifests of fusions are made anew for every features file."""
    return {stage for stage in run.ran if stage.startswith(("extract", "finetune", "fit", "fuse"))}


def test_a_finetune_is_a_member_and_a_backbone(workspace):
    """Added with a head on its features, it runs these two and the ensemble; nothing is extracted or fitted again."""
    workspace.add_finetune()
    workspace.edit(lambda params: params["finetunes"]["tiny"].update(features=True))
    workspace.edit(lambda params: params["members"].update(on_tiny={"backbone": "tiny", "head": "logistic", "C": 0.1}))
    run = workspace.repro_ok()
    assert costly(run) == {"finetune@tiny", "fit@on_tiny"}
    table = pd.read_csv(workspace.path / "ensembles/toy/bank.csv")
    assert {"tiny", "on_tiny", "logistic_colour"} <= set(table["member"])
    for file in ("data/toy/finetunes/tiny.csv", "data/toy/finetunes/tiny.png", "features/toy/tiny.h5"):
        assert (workspace.path / file).exists()

    workspace.edit(lambda params: params["finetunes"]["tiny"].update(epochs=4))
    run = workspace.repro_ok()
    assert costly(run) == {"finetune@tiny", "fit@on_tiny"}
    assert "3 of 3 networks trained" in run.output

    workspace.edit(lambda params: params["finetunes"]["tiny"].update(epochs=3))
    run = workspace.repro_ok()
    assert "finetune@tiny" in run.restored
    shutil.rmtree(workspace.path / "predictions/toy/tiny")
    done = workspace.call("podium", "finetune", "tiny")
    assert "0 of 3 networks trained, 0 rows computed" in done.stdout


def test_a_head_s_param_trains_no_network(workspace):
    """It is none of the finetune's."""
    workspace.add_finetune()
    workspace.repro_ok()
    workspace.edit(lambda params: params["members"]["logistic_colour"].update(C=0.2))
    assert "finetune@tiny" not in workspace.repro_ok().ran
