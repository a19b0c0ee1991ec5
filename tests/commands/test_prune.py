from types import SimpleNamespace

import pytest

from podium import paths
from podium.commands import prune
from podium.features.backbone import Backbone
from podium.features.extraction import pixel_caches, resolve_auto
from podium.storage import cache_users
from podium.training import Finetune
from podium.training.encoder import find
from podium.training.finetuning import fingerprint, resizing

HOG, COLOUR = Backbone(network="hog"), Backbone(network="color_histogram")
SMALL = Backbone(network="hog", resize={"px": 32})


def params(competition, backbones, bank=()):
    imports, finetunes = SimpleNamespace(features={"bought": "x.h5"}), {}
    return SimpleNamespace(
        competition=competition,
        backbones=backbones,
        finetunes=finetunes,
        networks=lambda: finetunes,
        students={"pupil": None},
        imports=imports,
        models=lambda: dict.fromkeys(bank),
        bank=lambda: list(bank),
    )


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A cache with rows of two backbones and of nobody's; outputs of names that are and are not in params.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "cache"))
    fingerprints = [resolve_auto(HOG, "").fingerprint, resolve_auto(COLOUR, "").fingerprint, "f" * 32]
    files = [paths.cache() / kind / name / "0.rows" for kind in ("rows", "models") for name in fingerprints]
    files += [cache.folder / "0" / "0.rgb" for cache in pixel_caches([HOG, SMALL], paths.cache() / "pixels").values()]
    files += [paths.features("toy", name) for name in ("shape", "colour", "bought", "old")]
    files += [paths.predictions("toy", name) / "scores.parquet" for name in ("member", "old")]
    files += [paths.models("toy", name) / "r0f0.npz" for name in ("member", "old", "ensemble")]
    files += [paths.student("toy", name, "models") / "r0f0.npz" for name in ("pupil", "dropout")]
    files += [paths.features("other", "shape")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 1_000_000)
    return SimpleNamespace(config=SimpleNamespace(params=params("toy", {"shape": HOG}, ["member"])), files=files)


def gone(machine):
    missing = [file for file in machine.files if not file.exists()]
    return {"/".join(file.parts[-3:]) if file.is_absolute() else file.as_posix() for file in missing}


def test_nothing_is_removed_unless_asked(machine, capsys):
    """A dry run lists what would go, with sizes."""
    prune.run(machine.config)
    out = capsys.readouterr().out
    assert gone(machine) == set()
    assert "features/toy/old.h5" in out
    assert "features/toy/shape.h5" not in out
    assert "10.0 MB in 10 places: nothing was removed" in out


def test_what_no_params_name_is_removed(machine):
    """Rows, models, pixels, features and predictions go; what params.yaml names stays, and other competitions."""
    prune.run(machine.config, yes=True)
    colour = resolve_auto(COLOUR, "").fingerprint
    (small,) = pixel_caches([SMALL], paths.cache() / "pixels").values()
    assert gone(machine) == {
        f"{small.folder.name}/0/0.rgb",
        *(f"{kind}/{name}/0.rows" for kind in ("rows", "models") for name in (colour, "f" * 32)),
        "features/toy/old.h5",
        "features/toy/colour.h5",
        "predictions/toy/old/scores.parquet",
        "models/toy/old/r0f0.npz",
        "students/toy/dropout/models/r0f0.npz",
    }


def test_what_another_competition_uses_stays(machine, capsys):
    """Its params are not in place, but its stages noted what they use; the present one's old notes keep nothing."""
    colour = resolve_auto(COLOUR, "").fingerprint
    (small,) = pixel_caches([SMALL], paths.cache() / "pixels").values()
    cache_users.note("other", [colour, small.folder.name])
    cache_users.note("toy", [resolve_auto(HOG, "").fingerprint, "f" * 32])
    prune.run(machine.config, yes=True)
    assert {f"rows/{colour}/0.rows", f"models/{colour}/0.rows", f"{small.folder.name}/0/0.rgb"}.isdisjoint(
        gone(machine)
    )
    assert f"rows/{'f' * 32}/0.rows" in gone(machine)
    assert cache_users.of_others({"other"}) == {resolve_auto(HOG, "").fingerprint}
    assert cache_users.of_others({"toy"}) == {colour, small.folder.name}


def test_what_a_recipe_names_stays(machine, monkeypatch, capsys):
    """Recipes are params worth keeping: their rows and files are not stale."""
    monkeypatch.setattr(prune, "_recipes", lambda: [params("toy", {"colour": COLOUR}), params("other", {"shape": HOG})])
    prune.run(machine.config, yes=True)
    assert {"features/toy/colour.h5", "features/other/shape.h5"}.isdisjoint(gone(machine))
    assert (paths.cache() / "rows" / resolve_auto(COLOUR, "").fingerprint).exists()
    capsys.readouterr()
    prune.run(machine.config)
    assert "0.0 MB in 0 places: nothing to remove" in capsys.readouterr().out


def test_networks_go_with_their_settings(machine):
    """All folds and seeds of a finetune are one folder; another rate is another one, of the same decoded images."""
    kept, gone_ = (find(Finetune(network="lenet", learning_rate=rate), "") for rate in (1e-3, 1e-4))
    small = find(Finetune(network="lenet", resize={"px": 48}), "")
    folders = [paths.cache() / "finetunes" / fingerprint(encoder) for encoder in (kept, gone_)]
    folders += [paths.cache() / "decoded" / resizing(encoder) for encoder in (kept, small)]
    for folder in folders:
        (folder / "0").mkdir(parents=True)
    machine.config.params.finetunes["a"] = kept.spec
    prune.run(machine.config, yes=True)
    assert [folder.exists() for folder in folders] == [True, False, True, False]
