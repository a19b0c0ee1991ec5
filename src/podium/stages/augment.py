"""augment: images -> the plan of their views, and a picture of it."""

import json

import pandas as pd

from podium import paths
from podium.config import Config
from podium.contracts.tables import IMAGES
from podium.contracts.tables import VIEWS as PLAN
from podium.imaging import contact_sheet
from podium.imaging.images import Reader
from podium.imaging.views import VIEWS, apply
from podium.storage.files import atomic

_SHOWN = 6  # images on the sheet


def run(config: Config) -> dict[str, int]:
    """Write which views each image has (train images those of both roles), and a sheet of a few images' views."""
    name, views = config.params.competition, config.params.views
    images = IMAGES.read(paths.data(name, "images.parquet"))
    both = list(dict.fromkeys([*views.train, *views.test]))
    is_test = images["split"] == "test"
    plan = pd.concat([_plan(images[~is_test], both), _plan(images[is_test], list(dict.fromkeys(views.test)))])
    PLAN.write(plan, paths.data(name, "views.parquet"))

    trained = images[~is_test]["source"]
    every = max(len(trained) // _SHOWN, 1)
    with Reader(paths.raw(name)) as reader:
        pictures = [reader.read(source) for source in trained[::every][:_SHOWN]]
    lines = [[apply(picture, VIEWS[view].operation, VIEWS[view].parameters) for view in both] for picture in pictures]
    with atomic(paths.data(name, "views.png")) as temporary:
        temporary.write_bytes(contact_sheet.draw(both, lines))
    return {"views": len(both), "lines": len(plan)}


def _plan(images: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return one line per image and view."""
    views = pd.DataFrame(
        {
            "view": names,
            "operation": [VIEWS[name].operation for name in names],
            "parameters": [json.dumps(dict(VIEWS[name].parameters), sort_keys=True) for name in names],
        }
    )
    return images[["image_id"]].merge(views, how="cross")
