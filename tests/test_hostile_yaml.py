"""Mutated settings, thousands of them: accepted, or refused in one line, and in no time."""

import copy
import datetime as dt
import random
import shutil
import time
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from podium import config
from podium.errors import PodiumError
from podium.storage import yaml_file

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PARAMS = [yaml_file.read(path) for path in sorted((ROOT / "recipes").glob("*.yaml"))]
COMPETITIONS = {path.stem: yaml_file.read(path) for path in sorted((ROOT / "competitions").glob("*.yaml"))}

# What a YAML file can hold where something else is expected.
VALUES = [None, [], {}, "", 0, -1, 1.5, 2**70, float("nan"), float("inf"), True, "x", "../x", "\n", "${x}", b"x"]
VALUES += [
    [None],
    [[]],
    [1],
    ["x", "x"],
    {"a": 1},
    {"a": None},
    {"x": {"a": []}},
    [{"a": []}],
    dt.date(2020, 1, 1),
]
VALUES += [{"kind": "table"}, {"kind": []}, {"head": {}}, {"network": []}, {"method": "auto", "mean": [1]}]


def places(node, way=()):
    """Yield the way to each value below `node`."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*way, key)
        yield from places(value, (*way, key))


def mutated(document, seed):
    """Return a copy of a document with one to three values replaced, removed, renamed or exchanged."""
    rng, document = random.Random(seed), copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 2, 3])):
        ways = list(places(document))
        if not ways:
            break
        (*way, last), (*other_way, other) = rng.choice(ways), rng.choice(ways)
        node, other_node = (reduce(getitem, keys, document) for keys in (way, other_way))
        change = rng.choice(["replace", "replace", "replace", "remove", "rename", "exchange"])
        if change == "replace":
            node[last] = copy.deepcopy(rng.choice(VALUES))
        elif change == "remove":
            del node[last]
        elif change == "rename" and isinstance(node, dict):
            node[rng.choice(["x", "kind", "size", "a.b", "ensemble", "head"])] = node.pop(last)
        else:
            node[last] = copy.deepcopy(other_node[other])
    return document


def one_line(action):
    """Run it; a PodiumError of one line is an answer, any other exception fails the test."""
    message = ""
    try:
        action()
    except PodiumError as error:
        message = str(error)
    assert "\n" not in message


MANY = settings(
    deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
SEEDS = st.integers(0, 2**32)


@settings(MANY, max_examples=2000)
@given(SEEDS)
def test_mutated_params_are_read_or_refused_in_one_line(seed):
    """Whatever stands where another type, key or name belongs."""
    params = mutated(PARAMS[seed % len(PARAMS)], seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(yaml_file, "read", lambda path: params if path.name == "params.yaml" else COMPETITIONS[path.stem])
        one_line(config.load)


@settings(MANY, max_examples=2000)
@given(SEEDS)
def test_mutated_competitions_are_read_or_refused_in_one_line(seed):
    """The same of a competition's YAML."""
    name = sorted(COMPETITIONS)[seed % len(COMPETITIONS)]
    competition = mutated(COMPETITIONS[name], seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(yaml_file, "read", lambda _: competition)
        one_line(lambda: config.load_competition(name))


SNIPPETS = ["&a ", "*a", "<<: *a", "!!python/object:os.system x", "!!binary %", "!!int x", "!!float x", "2001-99-99"]
SNIPPETS += [
    "!!set {a}",
    "!!omap [a]",
    "!!timestamp x",
    "? [a]\n: b",
    "[" * 200,
    "{" * 200,
    "\t",
    "\0",
    "\x85",
    "\ud800",
]
SNIPPETS += [
    "%YAML 9.9\n---\n",
    "---\n",
    "...\n",
    "0x",
    "0b2",
    "1e999",
    "9" * 5000,
    "'",
    '"',
    "|",
    ">",
    "#",
    ": ",
    "- ",
]


@settings(MANY, max_examples=400)
@given(
    text=st.sampled_from(["a: 1\nb: [2, {c: d}]\n", "a: &a {b: 1}\nc: {<<: *a}\n", "- a\n", "x: |\n  y\n", ""]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.sampled_from(SNIPPETS) | st.text(max_size=3)), max_size=3),
)
def test_mutated_text_is_yaml_or_refused_in_one_line(text, changes, tmp_path_factory):
    """Tags, anchors, odd characters and numbers in any place of it."""
    for at, snippet in changes:
        place = round(at * len(text))
        text = text[:place] + snippet + text[place:]
    path = tmp_path_factory.getbasetemp() / "some.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    one_line(lambda: yaml_file.read(path))


LAUGHS = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "more than 100,000 values once its aliases"),
        ("a: &a [*a]\n", "nested more than 50 deep"),
        ("a: &a {b: *a}\n", "nested more than 50 deep"),
        ("a: " + "[" * 2000, "not valid YAML"),
        ("a: " + "[" * 80 + "]" * 80, "nested more than 50 deep"),
        ("a: " + "x" * 2**20, "settings have at most 1,048,576"),
        ("a: {7: x}\n", "a.7: a key must be text"),
        ("a: {null: x}\n", "a.None: a key must be text"),
        ("a: 2001-99-99\n", "not valid YAML"),
        ("a: \x01\n", "not valid YAML"),
        ("a: b: c\n", "line 1: not valid YAML"),
        ("[a]\n", "must be a mapping"),
    ],
)
def test_settings_have_a_size(tmp_path, text, reason):
    """A few lines that stand for billions of values are refused at once; aliases as such are fine."""
    path = tmp_path / "params.yaml"
    path.write_text(text)
    started = time.process_time()
    with pytest.raises(PodiumError, match=f"^{path}: ") as caught:
        yaml_file.read(path)
    assert reason in str(caught.value)
    assert time.process_time() - started < 5
    path.write_text("a: &a {b: 1}\nc: [*a, *a]\n")
    assert yaml_file.read(path)["c"] == [{"b": 1}] * 2


def test_a_folder_in_the_place_of_a_file_is_one_line(tmp_path, monkeypatch):
    """Whatever the system says of it."""
    shutil.copytree(ROOT / "competitions", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PodiumError, match=r"params\.yaml: "):
        config.load()
