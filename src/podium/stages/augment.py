"""augment: images -> the plan of their views, and a picture of it."""

import json

import cv2
import numpy as np
import pandas as pd

from podium import paths
from podium.config import Config
from podium.contracts.files import atomic
from podium.contracts.tables import IMAGES
from podium.contracts.tables import VIEWS as PLAN
from podium.images import Reader, Resize, resize
from podium.views import VIEWS, apply

_SHOWN = 6  # images on the sheet
_CELL_PX = 160
_TEXT_PX = 24
_GAP_PX = 4


def run(config: Config) -> None:
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
    with atomic(paths.data(name, "views.png")) as temporary:
        cv2.imwrite(str(temporary), _sheet(pictures, both)[..., ::-1])


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


def _sheet(pictures: list[np.ndarray], names: list[str]) -> np.ndarray:
    """Return an RGB picture with one line per image and one titled column per view."""
    step = _CELL_PX + _GAP_PX
    sheet = np.full((_TEXT_PX + step * len(pictures), step * len(names), 3), 255, np.uint8)
    for column, name in enumerate(names):
        left = column * step
        cv2.putText(sheet, name, (left, _TEXT_PX - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        for line, picture in enumerate(pictures):
            view = apply(picture, VIEWS[name].operation, VIEWS[name].parameters)
            top = _TEXT_PX + line * step
            sheet[top : top + _CELL_PX, left : left + _CELL_PX] = resize(view, Resize(mode="pad"), _CELL_PX)
    return sheet
