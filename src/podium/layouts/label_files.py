"""A text file for each image that holds its label: `images/{name}.png` with `labels/{name}.txt`."""

from pathlib import Path

from podium.errors import PodiumError, preview
from podium.imaging.templates import fill
from podium.layouts import Layout as Base
from podium.layouts import Listing
from podium.layouts.files import Part, read_part
from podium.storage.raw import Raw


class Layout(Base, Part):
    """Images by the pattern of their names, and a file each with the label, which is the column `label`."""

    labels: str
    """The template of the text file's source over the parts of the image's name: `labels/{name}.txt`."""
    encoding: str = "utf-8"
    """Of the text files."""
    test: Part | None = None
    """The images to predict, where the competition has some; they need no label files."""

    def read(self, folder: Path) -> Listing:
        """Return the listing; raises PodiumError naming the images without a label file, and a file that is no text."""
        with Raw(folder) as raw:
            train = read_part(raw, self, "train", "layout")
            sources = fill(self.labels, train.rows, "layout.labels")
            lacking = [source for source in sources if source not in raw]
            if lacking:
                raise PodiumError(f"layout.labels: {len(lacking)} images have no label file: {preview(lacking)}")
            train.rows["label"] = [self._label(raw, source) for source in sources]
            parts = [train]
            if self.test:
                parts.append(read_part(raw, self.test, "test", "layout.test"))
        return Listing.joined(parts)

    def _label(self, raw: Raw, source: str) -> str | None:
        try:
            return raw.require(source).decode(self.encoding).strip() or None
        except (UnicodeDecodeError, LookupError) as error:
            raise PodiumError(f"{source}: layout.encoding: not {self.encoding} text ({error})") from None
