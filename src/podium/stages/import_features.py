"""import_features@name: features made elsewhere -> a features file like a backbone's."""

import numpy as np

from podium import paths
from podium.config import Config
from podium.contracts import features, imports
from podium.contracts.tables import VIEWS
from podium.errors import PodiumError, preview
from podium.storage.files import digest


def run(config: Config, name: str) -> dict[str, int]:
    """Check ids and numbers, and write them for every view of the plan.

    The table has image_id, then a column per feature; with a column `view` it has a line per view of each image, else
    every view of an image gets the same.
    """
    competition, path = config.params.competition, config.params.imports.features[name]
    table = imports.read(path, "image_id")
    plan = VIEWS.read(paths.data(competition, "views.parquet"))[features.KEY]
    has_views = "view" in table.columns
    key = features.KEY if has_views else ["image_id"]
    if has_views:
        imports.require_text(table, "view", str(path))
        imports.check_distinct((table["image_id"] + "/" + table["view"]).rename("image_id/view"), str(path))
    else:
        imports.check_ids(table["image_id"], plan["image_id"].drop_duplicates(), str(path))
    columns = [column for column in table.columns if column not in features.KEY]
    joined = plan.merge(table, on=key, how="left", validate="one_to_one" if has_views else "many_to_one")
    joined = joined.sort_values(features.KEY, kind="stable", ignore_index=True)
    try:
        with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused below
            matrix = joined[columns].to_numpy(np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise PodiumError(f"{path}: features must be numbers ({error})") from None
    bad = ~np.isfinite(matrix).all(axis=1)
    if bad.any() or not columns:
        raise PodiumError(f"{path}: no finite features for image_id {preview(joined.loc[bad, 'image_id'].unique())}")
    small = np.abs(matrix).max() <= np.finfo(np.float16).max
    features.write(
        paths.features(competition, name),
        joined[features.KEY],
        matrix,
        n_columns=len(columns),
        dtype="float16" if small else "float32",
        attributes={"backbone": name, "imported": digest(path)},
    )
    return {"rows": len(matrix), "columns": len(columns)}
