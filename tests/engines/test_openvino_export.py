"""Two processes that export the same model: the first one's stays, and nobody reads half of one."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from podium.engines import openvino
from podium.storage.files import write_json

pytestmark = pytest.mark.keras


def export(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.xml", "model.bin"):
        (folder / name).write_text(content)
    write_json(openvino._digests(folder), folder / "digests.json")


class Model:
    """A stand-in whose export takes a while, in which `meanwhile` happens."""

    inputs = (SimpleNamespace(dtype="uint8"),)

    def __init__(self, content, meanwhile=lambda: None):
        self.content, self.meanwhile = content, meanwhile

    def export(self, path, **_):
        for name in ("model.xml", "model.bin"):
            Path(path).with_name(name).write_text(self.content)
        self.meanwhile()


@pytest.mark.parametrize("before", ["nothing", "damaged"])
def test_the_first_of_two_exports_stays(tmp_path, before):
    """The second must not take away what the first may be reading, and uses it itself."""
    folder = tmp_path / "models" / "one"
    if before == "damaged":
        export(folder, "old")
        (folder / "model.bin").write_text("cut")

    def other():
        if before == "damaged":
            for file in folder.iterdir():
                file.unlink()
        export(folder, "first")

    reader = []
    model = Model("second", lambda: (other(), reader.append((folder / "model.bin").open())))
    openvino._export(model, (1, 8, 8, 3), folder)
    assert openvino._intact(folder)
    assert (folder / "model.bin").read_text() == "first"
    assert (folder / "model.bin").samefile(reader[0].name)
    reader[0].close()
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


@pytest.mark.parametrize("before", ["nothing", "damaged"])
def test_a_damaged_export_is_replaced(tmp_path, before):
    """And nothing is left beside it."""
    folder = tmp_path / "models" / "one"
    if before == "damaged":
        export(folder, "old")
        (folder / "model.bin").write_text("cut")
    openvino._export(Model("new"), (1, 8, 8, 3), folder)
    assert openvino._intact(folder)
    assert (folder / "model.bin").read_text() == "new"
    assert [path.name for path in folder.parent.iterdir()] == ["one"]
