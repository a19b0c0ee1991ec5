"""params.yaml and competition YAML: every mistake is one line that names the place and the valid choices."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from podium import config
from podium.errors import PodiumError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the shipped params.yaml and competitions."""
    shutil.copy(ROOT / "recipes/elpv-default.yaml", tmp_path / "params.yaml")
    shutil.copytree(ROOT / "competitions", tmp_path / "competitions")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def place(argument):
    """Return a test's name from its keys."""
    return ".".join(map(str, argument)) if isinstance(argument, list) else "-"


def edit(file, keys, value):
    """Set a nested key of a YAML file; the value ... deletes it."""
    yaml = YAML()
    content = yaml.load(Path(file))
    *path, last = keys
    node = content
    for key in path:
        node = node[key]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    yaml.dump(content, Path(file))


def test_the_shipped_params_are_valid(here):
    """The default params name existing things only."""
    loaded = config.load()
    assert loaded.params.competition == "elpv"
    assert list(loaded.params.models()) == sorted(loaded.params.models())


def test_every_recipe_and_competition_is_valid(here):
    """What ships is usable."""
    for recipe in sorted((ROOT / "recipes").glob("*.yaml")):
        params = config.load_params(recipe)
        config.load_competition(params.competition)
    for competition in sorted((ROOT / "competitions").glob("*.yaml")):
        config.load_competition(competition.stem)


def test_auto_compares_the_usual_methods_and_those_named(here):
    """Each with its options; one method by itself is one of one."""
    edit("params.yaml", ["ensemble"], {"method": "hill_climb"})
    assert list(config.load_params().ensemble) == ["hill_climb"]
    edit("params.yaml", ["ensemble"], {"method": "auto", "hill_climb": {"bags": 3}, "weighted": None})
    methods = config.load_params().ensemble
    assert list(methods) == ["hill_climb", "mean", "stack", "weighted"]
    assert methods["hill_climb"].bags == 3


# (keys, wrong value, what the one line must hold)
MISTAKES = [
    (["backbones", "lite0", "network"], "efficientnet_lite9", ["backbones.lite0.network", "efficientnet_lite0"]),
    (["backbones", "lite0", "netwrok"], "x", ["backbones.lite0.netwrok", "network", "pooling"]),
    (["backbones", "lite0", "pooling"], "median", ["backbones.lite0.pooling", "avg"]),
    (["backbones", "lite0", "engine"], "torch", ["backbones.lite0.engine", "keras", "openvino"]),
    (["backbones", "lite0", "precision"], "int3", ["backbones.lite0.precision", "float32"]),
    (["backbones", "lite0", "batch"], 0, ["backbones.lite0.batch"]),
    (["backbones", "Lite0"], {"network": "efficientnet_lite0"}, ["backbones", "'Lite0'"]),
    (["backbones", "lite.0"], {"network": "efficientnet_lite0"}, ["backbones", "'lite.0'", "no dot"]),
    (["backbones", 7], {"network": "efficientnet_lite0"}, ["backbones", "7"]),
    (["backbones", "lite0", "resize"], {"size": 3}, ["backbones.lite0.resize.size", "DVC"]),
    (["nfiles"], 3, ["nfiles", "DVC"]),
    (["members", "logistic_lite0", "head"], "logistik", ["members.logistic_lite0.head", "logistic", "lightgbm", "mlp"]),
    (["members", "logistic_lite0", "c"], 1.0, ["members.logistic_lite0.c", "C"]),
    (["members", "logistic_lite0", "C"], "much", ["members.logistic_lite0.C", "'much'"]),
    (["members", "logistic_lite0", "backbone"], "lite7", ["members.logistic_lite0.backbone", "lite0, lite1, lite2"]),
    (["members", "logistic_lite0", "backbone"], ..., ["members.logistic_lite0.backbone", "required"]),
    (["fusions", "logistic_all", "backbones"], ["lite0", "x"], ["fusions.logistic_all.backbones", "'x'", "lite1"]),
    (["fusions", "logistic_lite0"], {"backbones": ["lite0"], "head": "logistic"}, ["fusions.logistic_lite0", "name"]),
    (["ensemble", "method"], "hill", ["ensemble.method", "hill_climb", "mean"]),
    (["ensemble"], {"method": "hill_climb", "round": 5}, ["ensemble.round", "rounds"]),
    (["ensemble"], {"method": "auto", "stak": {}}, ["ensemble.stak", "hill_climb", "stack"]),
    (["ensemble"], {"method": "auto", "stack": {"c": 1}}, ["ensemble.stack.c", "C"]),
    (["imports", "predictions"], {"mlp_lite0": "x.csv"}, ["imports.predictions.mlp_lite0", "members", "another"]),
    (["imports", "features"], {"lite0": "x.csv"}, ["imports.features.lite0", "backbones", "another"]),
    (["imports", "features"], {"Clip": "x.csv"}, ["imports.features", "'Clip'"]),
    (["imports", "feature"], {}, ["imports.feature", "predictions, features"]),
    (["views", "train"], ["identity", "spin"], ["views.train", "'spin'", "hflip"]),
    (["views", "test"], [], ["views.test"]),
    (["folds", "scheme"], "random", ["folds.scheme", "stratified"]),
    (["folds", "k"], 1, ["folds.k"]),
    (["competition"], "elvp", ["competition", "elpv"]),
    (["colour"], "red", ["colour", "competition", "backbones"]),
    (["seed"], ..., ["seed", "required"]),
]


@pytest.mark.parametrize(("keys", "value", "words"), MISTAKES, ids=place)
def test_a_mistake_in_params_is_one_clear_line(here, keys, value, words):
    """The line names the file, the key and the choices."""
    edit("params.yaml", keys, value)
    with pytest.raises(PodiumError) as caught:
        config.load()
    line = str(caught.value)
    assert "\n" not in line
    for word in ["params.yaml", *words]:
        assert word in line


COMPETITION_MISTAKES = [
    (["metric"], "logloss", ["metric", "log_loss"]),
    (["metrics"], ["rmsle"], ["metrics", "'rmsle'", "regression", "binary"]),
    (["source", "kind"], "ftp", ["source.kind", "folder", "pypi"]),
    (["source", "sha257"], "0", ["source.sha257", "sha256"]),
    (["layout", "kind"], "tree", ["layout.kind", "table"]),
    (["task", "kind"], "guess", ["task.kind", "binary", "multiclass"]),
    (["task"], ..., ["task", "required"]),
    (["titel"], "x", ["titel", "title"]),
    (["holdout", "fraction"], 2, ["holdout.fraction"]),
]


@pytest.mark.parametrize(("keys", "value", "words"), COMPETITION_MISTAKES, ids=place)
def test_a_mistake_in_a_competition_is_one_clear_line(here, keys, value, words):
    """The line names the competition's file, the key and the choices."""
    edit("competitions/elpv.yaml", keys, value)
    with pytest.raises(PodiumError) as caught:
        config.load()
    line = str(caught.value)
    assert "\n" not in line
    for word in ["competitions/elpv.yaml", *words]:
        assert word in line


def test_broken_yaml_names_its_line(here):
    """A YAML error is told with the file and the line."""
    Path("params.yaml").write_text("competition: elpv\nseed: [1\n")
    with pytest.raises(PodiumError, match=r"params.yaml: line \d+: not valid YAML"):
        config.load()


def test_no_params_here(tmp_path, monkeypatch):
    """Outside a repository the line says where to run."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PodiumError, match="repository's root"):
        config.load()


def test_metadata_are_for_competitions_that_have_some(here):
    """A flag that would do nothing is a mistake."""
    edit("params.yaml", ["members", "logistic_lite0", "metadata"], True)
    assert config.load().params.members["logistic_lite0"].metadata
    edit("competitions/elpv.yaml", ["layout", "metadata"], [])
    with pytest.raises(PodiumError, match=r"members\.logistic_lite0\.metadata: the competition names no columns"):
        config.load()


@pytest.mark.parametrize(
    ("finetune", "member", "words"),
    [
        ({}, {}, "members.on: tuned keeps no features; set finetunes.tuned.features: true"),
        ({"features": True}, {"refit": "full"}, "members.on.refit: tuned is trained once a fold, so no network is of"),
    ],
)
def test_heads_on_trained_networks_need_features_and_folds(here, finetune, member, words):
    """One line before anything is trained."""
    edit("params.yaml", ["finetunes"], {"tuned": {"network": "lenet", **finetune}})
    edit("params.yaml", ["members", "on"], {"backbone": "tuned", "head": "logistic", **member})
    with pytest.raises(PodiumError, match=words):
        config.load()
    edit("params.yaml", ["finetunes", "tuned", "features"], True)
    edit("params.yaml", ["members", "on"], {"backbone": "tuned", "head": "logistic"})
    config.load()


HEAD = {"backbone": "lite0", "head": "logistic"}
NETWORK = {"network": "lenet"}
STUDENT_MISTAKES = [
    ({}, r"students\.pupil: give `member` or `finetune`, one of them"),
    ({"member": HEAD, "finetune": NETWORK}, r"give `member` or `finetune`, one of them"),
    (
        {"member": HEAD, "teachers": ["nobody"]},
        r"students\.pupil\.teachers: unknown teacher 'nobody'; choose one of",
    ),
    ({"member": HEAD, "teachers": ["theirs"]}, r"pupil\.teachers: theirs is imported: nobody knows which rows its mod"),
    ({"member": HEAD, "teachers": ["pupil"]}, r"pupil\.teachers: unknown teacher 'pupil'"),
    (
        {"member": HEAD | {"refit": "full"}},
        r"students\.pupil\.member\.refit: leave it out: a student has",
    ),
    ({"member": HEAD | {"C": -1}}, r"students\.pupil\.member\.C"),
    ({"member": {"head": "logistic"}}, r"students\.pupil\.member\.backbone: this key is required"),
    ({"finetune": NETWORK | {"features": True}}, r"pupil\.finetune\.features: leave it out: a student keeps none"),
    ({"finetune": NETWORK | {"refit": "full"}}, r"pupil\.finetune\.refit: leave it out: a student has a teacher"),
    ({"finetune": NETWORK | {"soup": 3, "patience": 2}}, r"pupil\.finetune: `soup`: `patience` keeps the best epoch"),
    ({"member": {"backbone": "lite0", "head": "gru"}}, r"heads that take each image of a row neither teach nor learn"),
    ({"finetune": NETWORK | {"epochs": 0}}, r"students\.pupil\.finetune\.epochs"),
    ({"finetune": {"network": "none"}}, r"students\.pupil\.finetune\.network: unknown network 'none'"),
    (
        {"member": HEAD, "distill": 0.5, "teachers": ["tuned"]},
        r"pupil: distill and distrust take teachers",
    ),
    ({"member": HEAD, "splits": []}, r"it has nothing to learn from its teachers"),
    ({"member": HEAD, "splits": [], "distill": 1, "rounds": 2, "teachers": ["kernel_all"]}, r"`rounds`: rows with lab"),
    ({"member": HEAD, "confident": 0.5}, r"students\.pupil\.confident: unknown key; choose one of: member"),
]


@pytest.mark.parametrize(("student", "message"), STUDENT_MISTAKES, ids=str)
def test_a_mistake_in_a_student_is_one_clear_line(here, student, message):
    """The line names the student, and the teachers that there are."""
    edit("params.yaml", ["finetunes"], {"tuned": NETWORK})
    edit("params.yaml", ["imports", "predictions"], {"theirs": "theirs.csv"})
    edit("params.yaml", ["students"], {"pupil": student})
    with pytest.raises(PodiumError, match=message):
        config.load()


def test_a_student_learns_from_test_rows_in_the_views_that_they_have(here):
    """A head is trained on `views.train`, which test rows need not have; a network makes its own."""
    edit("params.yaml", ["views"], {"train": ["identity", "hflip"], "test": ["identity"]})
    edit("params.yaml", ["students"], {"pupil": {"member": HEAD}})
    with pytest.raises(PodiumError, match=r"pupil\.splits: test rows have no view hflip, which heads are trained on"):
        config.load()
    edit("params.yaml", ["students", "pupil", "splits"], ["extra"])
    config.load()
    edit("params.yaml", ["students"], {"pupil": {"finetune": NETWORK}})
    config.load()


def test_a_student_and_its_teachers(here):
    """All that is fitted here, unless some are named; its folders lie apart from theirs."""
    edit("params.yaml", ["finetunes"], {"tuned": NETWORK})
    edit("params.yaml", ["students"], {"pupil": {"member": HEAD}, "net": {"finetune": NETWORK, "teachers": ["tuned"]}})
    params = config.load().params
    pupil = params.students["pupil"]
    assert pupil.named(params.models(), params.finetunes) == sorted([*params.members, *params.fusions, "tuned"])
    assert pupil.backbones(params.models(), params.finetunes) == ["lite0", "lite1", "lite2"]
    assert params.students["net"].named(params.models(), params.finetunes) == ["tuned"]
    assert {"pupil", "net"} <= set(params.bank())
    assert list(params.networks()) == ["finetunes.tuned", "students.net.finetune"]
    assert params.predictions("pupil").parts[0] == params.fitted("net").parts[0] == "students"
    edit("params.yaml", ["students"], {"tuned": {"member": HEAD}})
    with pytest.raises(PodiumError, match=r"students\.tuned: finetunes has this name already"):
        config.load()


def test_heads_that_take_each_image_are_members_alone(here):
    """Of one backbone, and without metadata."""
    message = "it takes each image of a row, of one backbone and without metadata"
    edit("params.yaml", ["members", "bag"], {"backbone": "lite0", "head": "attention", "metadata": True})
    with pytest.raises(PodiumError, match=rf"members\.bag\.head: {message}"):
        config.load()
    edit("params.yaml", ["members", "bag"], {"backbone": "lite0", "head": "attention"})
    config.load()
    edit("params.yaml", ["fusions", "bags"], {"backbones": ["lite0", "lite1"], "head": "gru"})
    with pytest.raises(PodiumError, match=rf"fusions\.bags\.head: {message}"):
        config.load()


METADATA_MISTAKES = [
    ({"metadata": ["kind"]}, r"members\.one\.metadata: unknown column 'kind'; choose one of: type"),
    ({"metadata": "type"}, r"members\.one\.metadata: must be true, a list of columns, or an encoding for each column"),
    ({"metadata": []}, r"members\.one\.metadata: must be true, a list"),
    ({"metadata": {"type": "hash"}}, r"members\.one\.metadata: type: unknown encoding 'hash'; choose one of: number, "),
    ({"backbone": "meta"}, r"members\.one\.backbone: unknown backbone 'meta'; choose one of: .*, metadata"),
]


@pytest.mark.parametrize(("options", "message"), METADATA_MISTAKES, ids=str)
def test_a_mistake_in_metadata_is_one_clear_line(here, options, message):
    """The line names the member, and the columns or encodings there are."""
    edit("params.yaml", ["members"], {"one": {"backbone": "lite0", "head": "logistic"} | options})
    with pytest.raises(PodiumError, match=rf"params\.yaml: {message}"):
        config.load()


def test_a_member_s_columns(here):
    """By a list, by an encoding each, or alone."""
    for metadata in (["type"], {"type": "target"}, {"type": ["mono", "poly"]}):
        member = {"backbone": "metadata", "head": "logistic", "metadata": metadata}
        edit("params.yaml", ["members"], {"one": member})
        assert config.load().params.members["one"].backbones == ("metadata",)


def test_a_table_has_no_use_for_backbones(here):
    """It has no images."""
    edit("params.yaml", ["competition"], "iris")
    with pytest.raises(PodiumError, match=r"backbones\.lite0: the competition has no images; members take `metadata`"):
        config.load()
    edit("params.yaml", ["backbones"], {"metadata": {"network": "hog"}})
    with pytest.raises(PodiumError, match=r"backbones\.metadata: this name is the metadata's own"):
        config.load()


@pytest.fixture
def reading(here):
    """The params of a competition of texts: two networks that read, and no head."""
    for keys, value in (
        (["competition"], "captcha"),
        (["views"], {"train": ["identity"], "test": ["identity"]}),
        (["backbones"], {}),
        (["members"], {}),
        (["fusions"], {}),
        (["submission", "clip"], None),
        (["finetunes"], {"reader": {"network": "crnn"}, "places": {"network": "places"}}),
    ):
        edit("params.yaml", keys, value)


def test_texts_are_combined_without_stacking(reading):
    """`auto` leaves out what only vectors can be combined by."""
    assert sorted(config.load().params.ensemble) == ["hill_climb", "mean"]


@pytest.mark.parametrize(
    ("file", "keys", "value", "message"),
    [
        (
            "params.yaml",
            ["views", "test"],
            ["identity", "hflip"],
            r"views\.test: hflip mirrors or turns pictures, and char",
        ),
        (
            "params.yaml",
            ["finetunes", "reader", "augment"],
            ["vflip"],
            r"reader\.augment: vflip mirrors or turns pictures",
        ),
        (
            "params.yaml",
            ["finetunes", "reader", "augment"],
            ["mixup"],
            r"reader\.augment: mixup mixes pictures, and two tex",
        ),
        (
            "params.yaml",
            ["ensemble"],
            {"method": "stack"},
            r"ensemble\.method: stack combines vectors; for text take hill",
        ),
        (
            "params.yaml",
            ["submission", "clip"],
            [0.1, 0.9],
            r"submission\.clip: must be null; the task text has no numbers",
        ),
        ("params.yaml", ["finetunes", "reader", "label_smoothing"], 0.1, r"reader\.label_smoothing: leave it out"),
        (
            "params.yaml",
            ["finetunes", "reader", "sampling"],
            "balanced",
            r"reader\.sampling: it is for binary and multic",
        ),
        (
            "params.yaml",
            ["finetunes", "reader", "resize"],
            {"width": 9},
            r"reader\.resize: `width` and `height` go together",
        ),
        (
            "params.yaml",
            ["finetunes", "reader", "resize"],
            {"px": 8},
            r"reader\.resize\.px: this network needs at least 16",
        ),
        (
            "competitions/captcha.yaml",
            ["task", "max_length"],
            5,
            r"places\.network: places reads texts of one length; ",
        ),
        ("competitions/captcha.yaml", ["task", "min_length"], 5, r"task: `max_length`: 4 is less than `min_length`: 5"),
        (
            "competitions/captcha.yaml",
            ["metric"],
            "accuracy",
            r"metric: 'accuracy' scores binary, multiclass, .* is text",
        ),
        ("competitions/captcha.yaml", ["source", "alphabet"], "AA", r"source: `alphabet`: it names a character twice"),
    ],
)
def test_what_says_nothing_to_texts_is_refused(reading, file, keys, value, message):
    """With the reason, in one line."""
    edit(file, keys, value)
    with pytest.raises(PodiumError, match=message):
        config.load()


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (
            ["finetunes"],
            {"reader": {"network": "crnn"}},
            r"reader\.network: crnn reads text; the competition's task is bin",
        ),
        (
            ["backbones", "lite0", "resize"],
            {"width": 90, "height": 30},
            r"lite0\.resize\.width: efficientnet_lite0 takes sq",
        ),
        (
            ["finetunes"],
            {"t": {"network": "efficientnet_lite0", "resize": {"width": 90, "height": 30}}},
            r"t\.resize\.width: efficientnet_lite0 takes squares",
        ),
        (
            ["finetunes"],
            {"t": {"network": "vgg", "resize": {"width": 90, "height": 32}, "augment": ["rot90"]}},
            r"t\.resize: rot90 turns a picture on its side",
        ),
    ],
)
def test_shapes_and_readers_that_do_not_fit_are_refused(here, keys, value, message):
    """Networks that read text elsewhere; oblong pictures where squares are taken, or turned on their side."""
    edit("params.yaml", keys, value)
    with pytest.raises(PodiumError, match=message):
        config.load()
