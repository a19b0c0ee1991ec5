"""`podium reference`: every key of params.yaml and of a competition's YAML, from the models that check them."""

import ast
import inspect
import textwrap
import types
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from podium import config, plugins
from podium.backbones import NETWORKS
from podium.backbones.pooling import POOLINGS
from podium.features.backbone import Backbone
from podium.fitting.scoring import Submission
from podium.imaging.images import Resize
from podium.imaging.views import VIEWS, Views
from podium.layouts.sample_submission import Sample
from podium.metrics import METRICS
from podium.settings import Settings
from podium.splits.folds import Folds
from podium.splits.sampling import Holdout
from podium.tasks.annotations import Annotations
from podium.tasks.prediction_strings import Template
from podium.teaching import Student
from podium.training import Finetune
from podium.training.augmentation import OPERATIONS
from podium.training.detection import Detection

HEAD = """# Params reference

Written by `podium reference > docs/params.md` from the models that check `params.yaml` and `competitions/*.yaml`;
a test keeps it current. A key without a default is required.
"""
# Plug-ins are chosen by a name: section of this page, kind, where the name stands.
_CHOICES = (
    ("Heads", "heads", "members.NAME.head, fusions.NAME.head"),
    ("Networks from scratch", "networks", "finetunes.NAME.network"),
    ("Ensemble methods", "ensembles", "ensemble.method"),
    ("Sources", "sources", "competition: source.kind"),
    ("Layouts", "layouts", "competition: layout.kind"),
    ("Tasks", "tasks", "competition: task.kind"),
)
_AUGMENTATIONS = """## Augmentations

`finetunes.NAME.augment`, a list: names of views, each with a `chance` of 0.5, and of these; a lone number beside a name
is its first key's."""
_NAMES: dict[str, Iterable[str]] = {
    "Networks": NETWORKS,
    "Views": VIEWS,
    "Poolings": POOLINGS,
    "Metrics": [*METRICS, "map@K", "top@K", "module:function"],
}


def run() -> None:
    """Print the reference as Markdown."""
    print(text())  # noqa: T201  # the command's answer


def text() -> str:
    """Return the reference as Markdown."""
    models = {
        "params.yaml": config.Params,
        "folds": Folds,
        "views": Views,
        "backbones.NAME": Backbone,
        "backbones.NAME.resize": Resize,
        "finetunes.NAME": Finetune,
        "students.NAME": Student,
        "finetunes.NAME.boxes": Detection,
        "imports": config.Imports,
        "submission": Submission,
        "competitions/NAME.yaml": config.Competition,
        "holdout, of a competition": Holdout,
        "submission, of a competition": Sample,
        "task.annotations, of boxes": Annotations,
        "task.prediction, of boxes": Template,
    }
    parts = [HEAD, *(_section("##", title, model) for title, model in models.items())]
    for title, kind, place in _CHOICES:
        where = "a key of `options`" if kind == "networks" else "every other key beside it"
        parts.append(f"## {title}\n\n`{place}`; {where} is an option of the chosen one.")
        parts += [_section("###", name, plugins.find(kind, name, kind)) for name in plugins.names(kind)]
    parts.append(_AUGMENTATIONS)
    parts += [_section("###", name, operation) for name, operation in OPERATIONS.items() if name not in VIEWS]
    parts += [f"## {title}\n\n{', '.join(f'`{name}`' for name in sorted(names))}." for title, names in _NAMES.items()]
    return "\n\n".join(part.strip() for part in parts)


def _section(level: str, title: str, model: Any) -> str:
    fields = "\n".join(_rows(model))
    table = f"\n\n| key | value | default | |\n|---|---|---|---|\n{fields}" if fields else ""
    return f"{level} {title}\n\n{inspect.getdoc(model)}{table}"


def _rows(model: Any) -> Iterator[str]:
    meanings = _meanings(model)
    for name, field in model.model_fields.items():
        default = "" if field.is_required() else f"`{_plain(field.get_default(call_default_factory=True))}`"
        value, meaning = (text.replace("|", "\\|") for text in (_described(field), meanings[name]))
        yield f"| `{name}` | {value} | {default} | {meaning} |"


def _meanings(model: Any) -> dict[str, str]:
    """Return field -> the docstring below it, of a model and its bases; raises KeyError where a field has none.

    pydantic's `use_attribute_docstrings` would read the sources at every start of every command: 0.3 s.
    """
    found = {}
    for base in reversed(inspect.getmro(model)):
        if issubclass(base, Settings):
            [body] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            for field, text in pairwise(body.body):  # type: ignore[attr-defined]  # it is a class
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    found[ast.unparse(field.target)] = ast.literal_eval(text.value)
    return found


def _described(field: FieldInfo) -> str:
    limits = [_limit(item) for item in field.metadata]
    return ", ".join([_type(field.annotation), *filter(None, limits)])


def _limit(item: Any) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "at least"}
    return ", ".join(f"{sign} {getattr(item, key)}" for key, sign in signs.items() if hasattr(item, key))


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(one) for one in inner)
    if origin is tuple:
        many = [one for one in inner if one is not Ellipsis]
        return f"list of {_type(many[0])}" if Ellipsis in inner else f"list of {len(many)}: {_type(many[0])}"
    if origin is dict:
        return f"{_type(inner[1])}, by {'name' if inner[0] is str else _type(inner[0])}"
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        type(None): "null",
        Any: "its own",
    }
    return names.get(annotation) or f"see {annotation.__name__}"


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Settings):
        return "its own defaults"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
