"""What new pictures become before networks see them."""

from types import SimpleNamespace

import cv2
import numpy as np

from podium.imaging.images import Reader, Resize
from podium.serving.runtime import Network, Picture, Predictor, Row, of_bytes


def test_each_network_gets_the_square_that_training_gave_it(tmp_path):
    """Of one JPEG, whole for one network and decoded at reduced scale for the other; pixels of a film are whole."""
    noise = cv2.resize(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8), (320, 256))
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    (tmp_path / "a.jpg").write_bytes(data)
    ways = {"whole": Resize(), "reduced": Resize(decode="reduced")}
    networks = {name: Network(32, how.mode, how.interpolation, 2, (), how.least_px(32)) for name, how in ways.items()}
    predictor = Predictor(networks, {}, SimpleNamespace(), (("flip", {"direction": "horizontal"}), ("identity", {})))
    with Reader(tmp_path) as reader:
        pixels, expected = reader.read("a.jpg"), {name: reader.resized("a.jpg", how, 32) for name, how in ways.items()}
    loaded = predictor.load(Row("a", (of_bytes("a.jpg", lambda: data), Picture("film#0", lambda: pixels))))
    assert (expected["whole"] != expected["reduced"]).any()
    for name, square in expected.items():
        np.testing.assert_array_equal(loaded.squares[name][1], square)
        np.testing.assert_array_equal(loaded.squares[name][3], expected["whole"])
