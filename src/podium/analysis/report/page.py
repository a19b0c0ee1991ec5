"""Everything that the report shows -> one HTML page that needs no other file and no network."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from typing import Any

from podium.analysis.report.advice import Advice
from podium.analysis.report.gallery import REASONS, Tile

OTHERS = 8  # the colour of the groups that have none of their own: more than eight cannot be told apart
# What page.html makes of a tile that has a picture, and of the summary.
_PICTURED = re.compile(r'<button class="tile"[^>]* data-id="([^"]*)">\n<span class="picture"><img [^>]*>')
_SUMMARY = re.compile(r'<p class="summary">[^<]*')
_FOLDER = files("podium.analysis.report")


@dataclass(frozen=True)
class HtmlTable:
    """A table of the page."""

    head: Sequence[str]
    lines: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Chart:
    """A drawing with its title, and a sentence below it."""

    title: str
    svg: str
    note: str = ""


@dataclass(frozen=True)
class Threshold:
    """Rows of the class `label` and of the other, whose probability is at least 0, 0.01, ..., 1."""

    positive: Sequence[int]
    negative: Sequence[int]
    label: str


@dataclass(frozen=True)
class FeatureMap:
    """Images as points: `groups` with the number of the colour of each, and what is known of each image."""

    note: str
    groups: Sequence[str]
    colours: Sequence[int]  # by group: 0 to 7, or 8 for those that share the last one
    ids: Sequence[str]
    x: Sequence[int]  # from the left, in [0, 1000]
    y: Sequence[int]  # from the bottom
    group: Sequence[int]
    wrong: Sequence[int]  # 1 of an image that is decided wrongly, else 0
    predicted: Sequence[str]

    @property
    def legend(self) -> list[tuple[str, int]]:
        """Return names and colours; the groups that share the last colour are `others`."""
        named = [pair for pair in zip(self.groups, self.colours, strict=True) if pair[1] < OTHERS]
        return named + ([("others", OTHERS)] if OTHERS in self.colours else [])


@dataclass(frozen=True)
class Near:
    """A training image near a mistake: what is written below it, and its data address."""

    text: str
    picture: str


@dataclass(frozen=True)
class Page:
    """What the page holds, top to bottom."""

    title: str
    headline: str
    summary: str
    members: HtmlTable
    charts: Sequence[Chart]
    scores: HtmlTable
    tiles: Sequence[Tile]
    pictures: Mapping[str, str]  # image id -> data address
    advice: Sequence[Advice] = ()
    tables: Mapping[str, HtmlTable] = field(default_factory=dict)
    threshold: Threshold | None = None
    feature_map: FeatureMap | None = None
    near: Mapping[str, Sequence[Near]] = field(default_factory=dict)  # image id -> its nearest, the nearest first


def render(page: Page) -> str:
    """Return the HTML; every text of the competition's is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def own(name: str) -> Markup:
        return Markup(_FOLDER.joinpath(name).read_text(encoding="utf-8"))  # noqa: S704  # this package's file

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    tiles: list[dict[str, Any]] = [
        asdict(tile)
        | {
            "picture": page.pictures.get(tile.image_id, ""),
            "near": page.near.get(tile.image_id, ()),
        }
        for tile in page.tiles
    ]
    counts = {reason: sum(reason in tile.reasons for tile in page.tiles) for reason in REASONS}
    return environment.from_string(own("page.html")).render(
        {
            **vars(page),
            "charts": [asdict(chart) | {"svg": Markup(chart.svg)} for chart in page.charts],  # noqa: S704  # matplotlib's, escaped by it
            "tiles": tiles,
            "counts": counts,
            "threshold": asdict(page.threshold) if page.threshold else None,
            "map": asdict(page.feature_map) if page.feature_map else None,
            "legend": page.feature_map.legend if page.feature_map else [],
            "reasons": {reason: name for reason, name in REASONS.items() if counts[reason]},
            "labels": sorted({tile.label for tile in page.tiles if tile.label}),
            "style": own("page.css"),
            "script": own("page.js") + own("map.js"),
        }
    )


def pictured(page: str) -> list[str]:
    """Return the ids of the images whose pictures a rendered page's gallery shows."""
    return [html.unescape(image_id) for image_id in _PICTURED.findall(page)]


def with_heatmaps(page: str, heat: Mapping[str, str], note: str) -> str:
    """Return a rendered page with heatmaps, image id -> data address, over its pictures and a note that says so."""

    def over(found: re.Match[str]) -> str:
        address = heat.get(html.unescape(found[1]))
        return f'{found[0]}<img class="heat" alt="" src="{html.escape(address)}">' if address else found[0]

    return _PICTURED.sub(over, _SUMMARY.sub(lambda found: f"{found[0]} {html.escape(note)}", page, count=1))
