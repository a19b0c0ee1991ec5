import cv2
import numpy as np
import pandas as pd

from podium.imaging.images import MAX_MEGAPIXELS
from podium.imaging.inspection import open_images
from podium.layouts.table import Layout


def test_a_huge_image_is_quarantined_undecoded(tmp_path):
    """By its header, with the reason and the setting."""
    data = cv2.imencode(".png", np.zeros((4, 5, 3), np.uint8))[1].tobytes()
    (tmp_path / "small.png").write_bytes(data)
    (tmp_path / "huge.png").write_bytes(data[:16] + (16000).to_bytes(4, "big") * 2 + data[24:])
    images = pd.DataFrame({"image_id": ["h", "s"], "row_id": ["h", "s"], "source": ["huge.png", "small.png"]})
    opened, quarantined = open_images(images, tmp_path, Layout(table="t", image="i").max_megapixels)
    assert opened["image_id"].tolist() == ["s"]
    reason = f"its header says 16000 x 16000 pixels, more than layout.max_megapixels ({MAX_MEGAPIXELS:g}) allows"
    assert quarantined[["image_id", "reason"]].to_numpy().tolist() == [["h", reason]]
