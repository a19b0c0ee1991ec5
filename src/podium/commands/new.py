"""`podium new SLUG_OR_FOLDER`: a competition's YAML from its files, each guess with its reason, and the first audit."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from podium import paths, plugins
from podium.config import Config, Params, load_competition
from podium.errors import PodiumError, preview
from podium.layouts.guess import Guess, guess
from podium.sources import fetch
from podium.stages import prepare
from podium.storage import csv_table
from podium.storage.files import atomic, atomic_folder
from podium.storage.raw import Raw

_NULL = "tag:yaml.org,2002:null"
_BIGGEST_TABLE = 200 * 2**20  # bytes; a larger CSV is data of its own, not labels


def run(what: str) -> None:
    """Fetch the files, write competitions/NAME.yaml and audit the images; raises PodiumError if it exists."""
    name, source = _named(what)
    path = paths.competition(name)
    if path.exists():
        raise PodiumError(f"{path}: is there already; edit it, or remove it to begin anew")
    _fetch(name, source)
    with Raw(paths.raw(name)) as raw:
        made = guess(raw.sources(), _tables(raw))
    with atomic(path) as temporary:
        temporary.write_text(text(name, source, made), encoding="utf-8")
    print(f"{path} is written; look through it")  # noqa: T201  # the answer
    for line in made.unknown:
        print(f"  not known: {line}")  # noqa: T201  # the answer
    _audit(name)


def _named(what: str) -> tuple[str, dict[str, Any]]:
    """Return a name and the source: a folder of this machine, or a competition of Kaggle."""
    if Path(what).is_dir():
        name = re.sub(r"[^a-z0-9]+", "-", Path(what).resolve().name.lower()).strip("-")
        name = name if name[:1].isalpha() else f"c{name}"
        return name, {"kind": "folder", "path": what}
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", what):
        raise PodiumError(f"{what!r} is neither a folder here nor the name of a Kaggle competition (as in its address)")
    return what if what[0].isalpha() else f"c{what}", {"kind": "kaggle", "competition": what}


def _fetch(name: str, source: dict[str, Any]) -> None:
    """Download where `dvc repro` will find it done, and lay the files out to be looked at."""
    options = {key: value for key, value in source.items() if key != "kind"}
    plugin = plugins.make("sources", source["kind"], options, "podium new: source")
    with atomic_folder(paths.raw(name)) as folder:
        fetch(plugin, folder, paths.data(name, ".arriving.tmp"))  # what arrived stays there for `dvc repro`


def _tables(raw: Raw) -> dict[str, pd.DataFrame]:
    """Return the CSVs that can be read, the shortest names first."""
    found = {}
    for source in sorted(
        (one for one in raw.sources() if one.lower().endswith(".csv")), key=lambda one: (len(one), one)
    ):
        try:
            data = raw.require(source)
            if len(data) <= _BIGGEST_TABLE:
                found[source] = csv_table.read(data, source)
        except PodiumError as error:
            print(f"  not read: {error}")  # noqa: T201  # the user should know
    return found


def text(name: str, source: dict[str, Any], made: Guess) -> str:
    """Return the YAML: a comment with the reason above each section."""
    yaml = YAML()
    yaml.width = 120
    yaml.representer.add_representer(type(None), lambda representer, _: representer.represent_scalar(_NULL, "null"))
    sections = {"title": name, "source": source, **made.sections}
    order = ["title", "source", "layout", "task", "metric", "metrics", "holdout", "submission"]
    parts = [f"# {name}: what is it about, and what was published?\n#   make submission, with `competition: {name}`\n"]
    for key in order:
        if key not in sections:
            raise PodiumError(f"{name}: no {key} could be guessed: {preview(made.unknown)}")
        comment = f"# guessed: {made.reasons[key]}\n" if key in made.reasons else ""
        written = io.StringIO()
        yaml.dump({key: sections[key]}, written)
        parts.append(comment + written.getvalue())
    return "\n".join(parts)


def _audit(name: str) -> None:
    """Run prepare on the new competition, and print what it found."""
    params = Params.model_construct(competition=name, limit=None)
    prepare.run(Config.model_construct(params=params, competition=load_competition(name)))
    audit = json.loads(paths.data(name, "audit.json").read_text(encoding="utf-8"))
    counts = ", ".join(f"{count:,} {split}" for split, count in sorted(audit["rows"].items()))
    print(f"  rows: {counts}; different image sizes: {len(audit['sizes'])}")  # noqa: T201  # the answer
    for key in ("quarantined", "rows_without_image", "rows_without_label", "duplicates"):
        if audit[key]:
            print(f"  {key}: {len(audit[key]):,}; see {paths.data(name, 'audit.json')}")  # noqa: T201  # the answer
    if audit["unused_images"]:
        print(f"  {audit['unused_images']:,} images that no row names, such as {audit['first_unused_images'][0]}")  # noqa: T201
