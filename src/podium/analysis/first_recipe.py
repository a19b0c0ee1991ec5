"""A first recipe for a competition: choices by its rows, classes, images and metric, each with its reason."""

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from podium.analysis.mirrors import Mirrored
from podium.backbones import NETWORKS
from podium.config import Competition, Params
from podium.heads import Head
from podium.imaging.duplicates import NEAR, clusters, near_pairs
from podium.plugins import find
from podium.tasks.vector import ExclusiveTask, ValueTask

_TINY_PX, _SMALL_PX = 24, 48  # below, a network for photographs sees little; below in gray, HOG sees as much
_ENLARGED = 4  # times that small pictures are enlarged at most
_STEP_PX = 32
OTHERS = ("masks",)  # kinds of task without heads that there is a draft for
_WHOLE_PX, _CROP_PX = 256, 128  # sides of images that networks of masks see whole, and of the parts of larger ones
_MOST_PX = 1024
_EPOCHS, _BATCH = 30, 8
MIRRORS = ("hflip", "vflip", "transpose")
_FEW_ROWS, _MANY_ROWS = 5000, 20_000
_MOST_HASHED = 20_000
_ALIKE = 0.3  # of the images: where more look like another, the hash does not see what differs
_WITHIN_S = 300  # of a first run
_GMACS = {"efficientnet_lite0": 0.39, "efficientnet_lite1": 0.62, "efficientnet_lite2": 0.86}  # at their own size
_CLASSICAL_S = 0.002  # an image and view
_HEAD_S = 0.0004  # a row, view and member
_UNET_FLOPS = 60_000  # a pixel of a U-Net of 16 maps, forwards and backwards
_STAGES_S = 15  # starting Python and DVC, folds, ensemble, report


@dataclass(frozen=True)
class Look:
    """What a sample of the images looks like."""

    px: int  # median of the shorter sides
    is_gray: bool
    seconds: float  # to read one, on one core
    mirrored: Mapping[str, Mirrored]  # by view; none where there were too few images
    sure_direction: str | None = None  # why no picture may be mirrored, whatever it looks like


@dataclass(frozen=True)
class Facts:
    """What is known of a competition after prepare."""

    name: str
    competition: Competition
    rows: pd.DataFrame
    images: pd.DataFrame
    labels: Sequence[str]
    hashes: pd.Series
    look: Look | None  # None: rows have no images
    time: str | None = None  # a metadata column that orders the rows
    n_cores: int = 1


@dataclass
class _Draft:
    sections: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, list[str]] = field(default_factory=dict)

    def say(self, key: str, value: Any, *reasons: str) -> None:
        self.sections[key] = value
        self.reasons[key] = [one for one in reasons if one]


def text(facts: Facts) -> str:
    """Return recipes/NAME.yaml: a whole params.yaml, with a comment for each choice."""
    made = _Draft()
    _folds(facts, made)
    _views(facts, made)
    if facts.competition.task.kind in OTHERS:
        _masks(facts, made)
    else:
        _models(facts, made)
    _clip(facts, made)
    seconds = _forecast(facts, made)
    head = [
        f"# {facts.competition.title}: a first run. A draft: look through it.",
        "#",
        f"#   podium use {facts.name} && make submission",
        "#",
        f"# About {_rounded(seconds)} on this machine, data and packages at hand. Not run yet: write what it reached.",
    ]
    parts = [
        "\n".join(
            [*head, f"competition: {facts.name}\nseed: 2018\nlimit: null  # a number of rows, for a quick trial\n"]
        )
    ]
    made.sections.setdefault("finetunes", {})
    made.reasons.setdefault("finetunes", ["networks trained on these images, once a fold: docs/finetune.md"])
    made.say("students", {}, "models taught by the bank on rows without labels: docs/bank.md")
    made.say("imports", {"predictions": {}, "features": {}})
    made.say("ensemble", {"method": "mean" if made.sections["finetunes"] else "auto"})
    for key in (key for key in Params.model_fields if key in made.sections):
        comments = "".join(f"# {reason}\n" for reason in made.reasons[key])
        parts.append(f"{comments}{_yaml(key, made.sections[key])}")
    return "\n".join(parts)


def _folds(facts: Facts, made: _Draft) -> None:
    task, train = facts.competition.task, facts.rows[facts.rows["split"] == "train"]
    has_groups = facts.competition.layout.group is not None and not train["group"].is_unique
    if isinstance(task, ExclusiveTask):
        scheme, why = ("stratified_group" if has_groups else "stratified"), "each fold has its share of each class"
    elif isinstance(task, ValueTask):
        scheme, why = "binned", "each fold has its share of each tenth of the values"
    elif task.kind == "multilabel":
        scheme, why = "multilabel", "each fold has its share of each label"
    else:
        scheme, why = ("stratified" if train["y"].nunique() < len(train) / 10 else "plain"), "rows are dealt evenly"
    spec: dict[str, Any] = {"scheme": scheme, "k": 5 if len(train) >= 50 else 3}  # noqa: PLR2004  # rows
    spec |= {"repeats": 1, "file": None}
    reasons = [why + (f", and rows of one {facts.competition.layout.group} share a fold" if has_groups else "")]
    if facts.time:
        spec |= {"scheme": "time", "time": facts.time}
        reasons = [f"every {facts.time} of test is later than those of train: a fold is predicted from earlier ones"]
    if isinstance(task, ExclusiveTask):
        counts = train["y"].value_counts()
        single = [facts.labels[int(code)] for code in counts.index[counts == 1] if int(code) < len(facts.labels)]
        if single:
            reasons.append(f"classes of one row, trained on in every fold and scored in none: {', '.join(single[:5])}")
    near = _near(facts, spec["k"])
    if near is not None:
        n_pairs, is_used = near
        if is_used:
            spec["near_duplicates"] = NEAR
            reasons.append(f"{n_pairs} pairs of images look alike (24 of 256 bits of their hash): they share a fold")
        else:
            reasons.append("? very many images look alike by their hash: are there copies? `podium leaks` tells more")
    made.say("folds", spec, *reasons)


def _near(facts: Facts, k: int) -> tuple[int, bool] | None:
    """Return how many pairs of training images look alike, and whether folds may go by that; None: none do."""
    known = facts.hashes
    if not 0 < len(known) <= _MOST_HASHED:
        return None
    pairs = near_pairs(known, NEAR)
    if pairs.empty:
        return None
    root = clusters(len(known), zip(pairs["first"], pairs["second"], strict=True))
    sizes = np.bincount(root)
    is_used = sizes.max() <= len(known) / (2 * k) and (sizes[root] > 1).mean() < _ALIKE
    return len(pairs), bool(is_used)


def _views(facts: Facts, made: _Draft) -> None:
    look = facts.look
    if look is None:
        made.say("views", {"train": ["identity"], "test": ["identity"]}, "no images")
        return
    if look.sure_direction or not look.mirrored:
        why = look.sure_direction or "? too few images to tell whether they may be mirrored: may they?"
        made.say("views", {"train": ["identity"], "test": ["identity"]}, why)
        return
    allowed = [view for view in MIRRORS if look.mirrored[view].is_allowed]
    few = len(facts.rows) <= _FEW_ROWS
    views = ["identity"]
    if "hflip" in allowed:
        views.append("hflip")
    if "vflip" in allowed and few:
        views += ["vflip", "rot180"] if "hflip" in allowed else ["vflip"]
    if set(MIRRORS) <= set(allowed):
        reasons = ["mirrored and turned images are not told apart, and near ones keep their label"]
        reasons += ["with more time: rot90, rot270, transpose, antitranspose too"]
    else:
        reasons = [look.mirrored[view].reason() for view in ("hflip", "vflip")]
    made.say("views", {"train": views, "test": list(views)}, *reasons)


def _models(facts: Facts, made: _Draft) -> None:
    """Choose backbones and heads: few and quick, so that there is a first score to improve on."""
    look, has_metadata = facts.look, bool(facts.competition.layout.metadata)
    if look is None:
        backbones: dict[str, Any] = {}
        made.say("backbones", {}, "rows have no images: heads see their metadata")
    elif look.px < _TINY_PX or (look.is_gray and look.px <= _SMALL_PX):
        backbones = {"hog": {"network": "hog"}}
        if not look.is_gray:
            backbones["colour"] = {"network": "color_histogram"}
        kind = "gray pictures" if look.is_gray else "pictures"
        made.say("backbones", backbones, f"{kind} of {look.px} px: descriptors, before a network for photographs")
    else:
        names = (
            list(_GMACS)
            if _network_s(facts, list(_GMACS), len(made.sections["views"]["test"])) < _WITHIN_S
            else list(_GMACS)[:1]
        )
        backbones = {}
        for name in names:
            native = NETWORKS[name].native_px
            px = min(native, -(-_ENLARGED * look.px // _STEP_PX) * _STEP_PX)
            backbones[name.replace("efficientnet_", "")] = {"network": name} | (
                {} if px == native else {"resize": {"px": px}}
            )
        why = f"images of {look.px} px (median of the shorter side)"
        more = "" if len(names) > 1 else "; with more time: efficientnet_lite1, efficientnet_lite2"
        made.say("backbones", backbones, why + more)
    _heads(facts, list(backbones), made, has_metadata=has_metadata)


def _masks(facts: Facts, made: _Draft) -> None:
    """Choose a U-Net that sees images whole where they are small, and parts of them else."""
    train = facts.images[facts.images["split"] == "train"]
    scale = min(1.0, _MOST_PX / max(train["width"].median(), train["height"].median()))
    depth = 3 if scale * train[["width", "height"]].min(axis=1).median() >= 64 else 2  # noqa: PLR2004  # px
    step = 2**depth
    width, height = (max(16, round(scale * train[side].median() / step) * step) for side in ("width", "height"))
    is_small = max(width, height) <= _WHOLE_PX
    k = made.sections["folds"]["k"]
    spec = {
        "network": "unet",
        "options": {"width": 16, "depth": depth},
        "resize": {"width": width, "height": height},
        "masks": {"crop": None if is_small else _CROP_PX},
        "augment": [view for view in made.sections["views"]["test"] if view != "identity"],
        "epochs": _EPOCHS,
        "batch": min(_BATCH, len(train) * (k - 1) // k),
        "learning_rate": 0.002,
    }
    why = f"a network from scratch, on whole images of {width} x {height}"
    made.say("finetunes", {"unet": spec}, why if is_small else f"{why}, in parts of {_CROP_PX} px")
    for key in ("backbones", "members", "fusions"):
        made.say(key, {})


def _heads(facts: Facts, backbones: list[str], made: _Draft, *, has_metadata: bool) -> None:
    task, n = facts.competition.task, int((facts.rows["split"] == "train").sum())
    linear = "ridge" if isinstance(task, ValueTask) else "logistic"
    own = {"head": linear} | ({"C": 0.003} if linear == "logistic" else {})
    members: dict[str, Any] = {f"{linear}_{name}": {"backbone": name, **own} for name in backbones}
    if has_metadata:
        name = backbones[-1] if backbones else "metadata"
        if not backbones:
            members[f"{linear}_metadata"] = {"backbone": "metadata", **own, "metadata": True}
        if n <= _MANY_ROWS and len(facts.labels) <= 10:  # noqa: PLR2004  # a tree a class and round
            members["lightgbm_metadata"] = {"backbone": name, "head": "lightgbm", "metadata": True}
        elif backbones:
            members[f"{linear}_with_metadata"] = {"backbone": name, **own, "metadata": True}
    members = {name: spec for name, spec in members.items() if task.kind in _head(spec["head"]).tasks}
    fusions: dict[str, Any] = {}
    if len(backbones) > 1:
        fusions[f"{linear}_all"] = {"backbones": list(backbones), **own}
    if backbones and n <= _FEW_ROWS:  # its time grows with the cube of the rows: 6,000 took most of a first run
        kernel = {"head": "kernel_ridge", "views": "mean"}
        if len(backbones) > 1:
            fusions["kernel_all"] = {"backbones": list(backbones), **kernel}
        else:
            members["kernel"] = {"backbone": backbones[0], **kernel}
    what = f"{n:,} rows" + (f", {len(facts.labels)} labels" if facts.labels else "")
    made.say("members", members, f"one head on one backbone each: {what}")
    made.say("fusions", fusions, "one head on several backbones' features" if fusions else "")


def _head(name: str) -> type[Head]:
    found: type[Head] = find("heads", name, "podium new")
    return found


def _clip(facts: Facts, made: _Draft) -> None:
    task, train = facts.competition.task, facts.rows[facts.rows["split"] == "train"]
    if isinstance(task, ValueTask):
        low, high = float(train["y"].min()), float(train["y"].max())
        if low < high:
            made.say("submission", {"clip": [low, high]}, "the range of the values to train on")
            return
    if facts.competition.metric == "log_loss":
        share = float(np.clip(10 / len(train), 0.0005, 0.01))
        least = share / max(len(facts.labels) - 1, 1) if task.kind == "multiclass" else share
        clip = [float(f"{least:.1g}"), round(1 - float(f"{share:.1g}"), 4)]
        made.say("submission", {"clip": clip}, "log loss punishes a sure mistake without bound")
        return
    made.say("submission", {"clip": None}, f"{facts.competition.metric} needs none")


def _forecast(facts: Facts, made: _Draft) -> float:
    """Return seconds of a first run."""
    n_views = len({*made.sections["views"]["train"], *made.sections["views"]["test"]})
    n_members = len(made.sections["members"]) + len(made.sections["fusions"])
    seconds = _STAGES_S + len(facts.rows) * n_views * n_members * _HEAD_S
    networks = [spec["network"] for spec in made.sections["backbones"].values()]
    for spec in made.sections.get("finetunes", {}).values():
        pixels = spec["resize"]["width"] * spec["resize"]["height"]
        seconds += len(facts.images) * made.sections["folds"]["k"] * spec["epochs"] * pixels * _UNET_FLOPS / _flops()
    return seconds + (_network_s(facts, networks, n_views) if networks else 0)


def _network_s(facts: Facts, networks: Sequence[str], n_views: int) -> float:
    """Return seconds to read all images once for each network and to run it."""
    assert facts.look is not None
    flops = _flops()
    seconds = 0.0
    for name in networks:
        native = NETWORKS[name].native_px
        share = min(1.0, (_ENLARGED * facts.look.px / native) ** 2)
        each = _CLASSICAL_S / facts.n_cores if name not in _GMACS else 2e9 * _GMACS[name] * share / flops
        seconds += len(facts.images) * (n_views * each + facts.look.seconds / facts.n_cores)
    return seconds


def _flops() -> float:
    """Return what this machine does in a second, by a product of matrices on all its cores."""
    x = np.ones((1000, 1000), np.float32)
    x @ x
    started = time.perf_counter()
    for _ in range(5):
        x @ x
    return 5 * 2e9 / (time.perf_counter() - started)


def _rounded(seconds: float) -> str:
    if seconds < 90:  # noqa: PLR2004
        return f"{max(10, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min"


def _yaml(key: str, value: Any) -> str:
    """Return a section as people write it: a line for each entry, and what is inside of it in braces."""
    flow = YAML()
    flow.default_flow_style = True
    flow.width = 4096
    flow.representer.add_representer(type(None), lambda one, _: one.represent_scalar("tag:yaml.org,2002:null", "null"))

    def written(part: Any) -> str:
        out = io.StringIO()
        flow.dump({"x": part}, out)
        return out.getvalue().strip().removeprefix("{x: ").removesuffix("}")

    if not value or key == "imports":
        return f"{key}: {written(value)}\n"
    return "\n".join([f"{key}:", *(f"  {name}: {written(part)}" for name, part in value.items())]) + "\n"
