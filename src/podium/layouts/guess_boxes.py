"""The draft of a competition with a VOC XML file for each image, which holds its boxes."""

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

from podium.layouts.guess_names import Files, stems_by_folder

METRIC, OTHERS = "ap@0.5", ["ap@0.5:0.95"]
_NAME = re.compile(rb"<object>.*?<name>\s*(.*?)\s*</name>", re.DOTALL)


def draft(
    sources: Sequence[str], folders: Sequence[Files], read: Callable[[str], bytes]
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the sections layout and task, with the classes that the files name; None where no folder fits."""
    files = [source for source in sources if source.lower().endswith(".xml")]
    for folder, stems in stems_by_folder(files).items():
        for images in folders:
            common = images.stems & stems
            if len(common) < len(images.stems) / 2:
                continue
            own = [one for one in files if one.startswith(folder) and PurePosixPath(one.split("#")[-1]).stem in common]
            classes = sorted({name.decode("utf-8", "replace") for one in own for name in _NAME.findall(read(one))})
            if not classes:
                continue
            layout: dict[str, Any] = {"kind": "files", "images": f"{images.folder}{{id}}.*", "id": "id"}
            written: dict[str, Any] = {"format": "voc", "source": f"{folder}{{id}}.xml"}
            if len(common) < len(images.stems):
                written["absent"] = "none"
            return layout, {"kind": "boxes", "classes": classes, "annotations": written}
    return None
