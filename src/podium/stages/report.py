"""report: all results -> one page to look at, and its charts' tables for DVC to plot."""

from podium import paths
from podium.analysis.report import charts
from podium.analysis.report.compose import compose
from podium.analysis.report.page import render
from podium.config import Config
from podium.storage import csv_table
from podium.storage.files import atomic


def run(config: Config) -> dict[str, int]:
    """Write reports/C/report.html, a CSV per chart, and the bank as a picture."""
    name = config.params.competition
    page, plots = compose(config)
    for chart, table in plots.items():
        csv_table.write(table.round(6), paths.report(name, f"{chart}.csv"))
    with atomic(paths.report(name, "report.html")) as temporary:
        temporary.write_text(render(page), encoding="utf-8")
    with atomic(paths.report(name, "bank.svg")) as temporary:
        temporary.write_text(charts.alone(page.charts[0].svg), encoding="utf-8")
    return {"images": len(page.tiles), "charts": len(page.charts)}
