"""Tables -> SVG, by matplotlib: no script to load, a few kilobytes each, the same bytes from the same table.

Every chart is drawn at a phone's width and never scaled down, so its text stays readable; a wide screen puts
several side by side. Its colours are names that the page's style sheet defines, for light and for dark.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

WIDTH = 3.7  # inches of 96 px: 355 px, what a phone of 390 px has beside its margins
# Colours that stand for a variable of the style sheet.
INK, LINE, MAIN, SECOND = "#010101", "#010102", "#010103", "#010104"
_VARIABLES = {INK: "--ink", LINE: "--line", MAIN: "--main", SECOND: "--second"}
_NUMBERED = 12  # cells a side, at most, that have room for their number
_NAMED = 30  # ticks that have room for their name
_FAINT = 0.004  # a share that cannot be seen
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and the page's font is used
    "font.family": "sans-serif",
    "font.size": 8,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # a class may be called `$1_$`
}


def roc(table: pd.DataFrame) -> str:
    """Draw the ROC curve."""
    with _chart("ROC: true against false positives") as (axes, svg):
        axes.plot([0, 1], [0, 1], color=LINE)
        axes.plot(table["fpr"], table["tpr"], color=MAIN)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    return svg[0]


def precision_recall(table: pd.DataFrame) -> str:
    """Draw precision against recall; the line is the share of positives."""
    with _chart("Precision against recall") as (axes, svg):
        axes.axhline(table["precision"].iloc[-1], color=LINE)
        axes.plot(table["recall"], table["precision"], color=MAIN)
        axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02), aspect="equal")
    return svg[0]


def reliability(table: pd.DataFrame) -> str:
    """Draw the observed share over the predicted probability; the area of a dot is its number of rows."""
    with _chart("Reliability: observed against predicted") as (axes, svg):
        axes.plot([0, 1], [0, 1], color=LINE)
        axes.plot(table["predicted"], table["observed"], color=MAIN)
        area = 10 + 200 * table["count"] / table["count"].max()
        axes.scatter(table["predicted"], table["observed"], s=area, color=MAIN, alpha=0.5)
        axes.set(xlabel="predicted probability", ylabel="observed share", aspect="equal")
    return svg[0]


def confusion(table: pd.DataFrame, labels: list[str]) -> str:
    """Draw the confusion matrix, rows by their actual label, as shares of it."""
    counts = pd.crosstab(table["actual"], table["predicted"]).reindex(index=labels, columns=labels, fill_value=0)
    shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(axis=1, keepdims=True), 1)
    return _matrix("Confusion", shares, labels, numbers=counts.to_numpy(), axes_names=("predicted", "actual"))


def correlation(table: pd.DataFrame) -> str:
    """Draw the correlation of every pair of members."""
    names = list(table["model"].unique())
    matrix = table.pivot_table(index="model", columns="other", values="correlation").loc[names, names].to_numpy()
    numbers = (100 * matrix).round().astype(int)
    # Members agree on most rows: the colour spreads what is left between the least and full agreement.
    spread = (matrix - matrix.min()) / max(1 - matrix.min(), 1e-9)
    return _matrix("Correlation of the members' predictions", spread, names, numbers)


def bank(table: pd.DataFrame, metric: str) -> str:
    """Draw each member's score with its standard error, and write its weight beside it.

    The columns are `member`, the metric, `standard_error` and `weight`, which may lack values.
    """
    with _chart(f"The bank: {metric} and weight", height=1.0 + 0.2 * len(table)) as (axes, svg):
        places = range(len(table))
        axes.errorbar(table[metric], places, xerr=table["standard_error"], fmt="o", color=MAIN, markersize=4)
        axes.set_yticks(places, table["member"])
        axes.set(xlabel=f"{metric} ± standard error", ylim=(len(table) - 0.5, -1.5))
        texts = ["" if pd.isna(value) else f"{value:.2f}" for value in table["weight"]]
        for place, text in enumerate(["weight", *texts], start=-1):
            beside = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
            axes.annotate(text, (1, place), (32, 0), **beside, ha="right", va="center")
    return svg[0]


def alone(svg: str) -> str:
    """Return a chart as a file of its own: with the colours and the paper that the page gives it there."""
    colours = "--ink:#1c2430;--line:#d5dae1;--main:#2563eb;--second:#c2570c"
    return svg.replace(">", f"><style>svg{{{colours};background:#fff;font-family:sans-serif}}</style>", 1)


def by_fold(table: pd.DataFrame, metric: str) -> str:
    """Draw each model's score in each fold as a dot, and their mean as a line."""
    models = {str(name): part["score"].to_numpy() for name, part in table.groupby("model", sort=False)}
    with _chart(f"{metric} by fold", height=1.0 + 0.2 * len(models)) as (axes, svg):
        for place, scores in enumerate(models.values()):
            axes.plot(scores, [place] * len(scores), "o", color=MAIN, alpha=0.5, markersize=4)
            axes.plot([scores.mean()] * 2, [place - 0.35, place + 0.35], color=SECOND)
        axes.set_yticks(range(len(models)), list(models))
        axes.set(xlabel=metric, ylim=(len(models) - 0.5, -0.5))
    return svg[0]


def climb(table: pd.DataFrame, metric: str = "loss", sign: int = 1) -> str:
    """Draw the score after each step of the search, and the step of the best; `sign` is -1 where higher is better."""
    with _chart("Hill climbing") as (axes, svg):
        best, score = int(table["loss"].to_numpy().argmin()), sign * table["loss"]
        axes.plot(table["step"], score, color=MAIN)
        axes.plot(table["step"].iloc[best], score.iloc[best], "o", color=SECOND)
        axes.set(xlabel="step", ylabel=metric)
    return svg[0]


def curves(table: pd.DataFrame) -> str:
    """Draw the loss by epoch, a line for each repeat and fold, that of the judging rows in the second colour."""
    with _chart("Learning curves") as (axes, svg):
        for _, part in table.groupby(["repeat", "fold"]):
            axes.plot(part["epoch"], part["loss"], color=MAIN, linewidth=0.8)
            if part["valid_loss"].notna().any():
                axes.plot(part["epoch"], part["valid_loss"], color=SECOND, linewidth=0.8)
        axes.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    return svg[0]


def history(table: pd.DataFrame, metric: str) -> str:
    """Draw the score of each commit with its standard error, the newest first; the line is today's score."""
    newest = table[::-1]
    with _chart(f"{metric} over time", height=1.0 + 0.2 * len(table)) as (axes, svg):
        axes.axvline(newest["score"].iloc[0], color=LINE)
        axes.errorbar(
            newest["score"], range(len(table)), xerr=newest["standard_error"], fmt="o", color=MAIN, markersize=4
        )
        axes.set_yticks(range(len(table)), newest["commit"])
        axes.set(xlabel=f"{metric} ± standard error", ylim=(len(table) - 0.5, -0.5))
    return svg[0]


def leaderboard(table: pd.DataFrame, metric: str) -> str:
    """Draw each upload's public score over its cross-fitted one, numbered; on the line both agree."""
    with _chart("Public against cross-fitted score") as (axes, svg):
        scores = table[["cross_fitted", "public"]].to_numpy()
        ends = [scores.min(), scores.max()]
        axes.plot(ends, ends, color=LINE)
        axes.plot(scores[:, 0], scores[:, 1], "o", color=MAIN, alpha=0.6, markersize=5)
        for number, place in enumerate(scores, 1):
            axes.annotate(f"{number}", place, xytext=(4, 3), textcoords="offset points")
        axes.set(xlabel=f"cross-fitted {metric}", ylabel=f"public {metric}")
    return svg[0]


def fitted(table: pd.DataFrame) -> str:
    """Draw actual against predicted values."""
    with _chart("Actual against predicted") as (axes, svg):
        ends = [table.to_numpy().min(), table.to_numpy().max()]
        axes.plot(ends, ends, color=LINE)
        axes.plot(table["predicted"], table["actual"], "o", color=MAIN, alpha=0.4, markersize=3)
        axes.set(xlabel="predicted", ylabel="actual")
    return svg[0]


def shares(table: pd.DataFrame, name: str) -> str:
    """Draw `accuracy` over the column `name`, a whole number, with the error of a share of `count`."""
    with _chart(f"Accuracy by {name}") as (axes, svg):
        share, count = table["accuracy"].to_numpy(), table["count"].to_numpy()
        axes.errorbar(table[name], share, yerr=np.sqrt(share * (1 - share) / count), fmt="o", color=MAIN, markersize=4)
        axes.set_xticks(table[name])
        axes.set(xlabel=name, ylabel="accuracy")
    return svg[0]


def bars(table: pd.DataFrame, name: str, parts: tuple[str, str]) -> str:
    """Draw two counts of each line, one on top of the other, over the column `name`."""
    with _chart(f"{parts[0]} and {parts[1]} by {name}".replace("_", " ")) as (axes, svg):
        places, low, high = range(len(table)), table[parts[0]], table[parts[1]]
        axes.bar(places, low, color=MAIN, label=parts[0].replace("_", " "))
        axes.bar(places, high, bottom=low, color=SECOND, label=parts[1].replace("_", " "))
        step = len(table) // _NUMBERED + 1
        axes.set_xticks(places[::step], [f"{value:g}" for value in table[name][::step]])
        axes.set(xlabel=f"{name}, from", ylabel="count")
        axes.legend()
    return svg[0]


def _matrix(
    title: str,
    shares: np.ndarray,
    names: list[str],
    numbers: np.ndarray,
    axes_names: tuple[str, str] = ("", ""),
) -> str:
    from matplotlib.patches import Rectangle

    side = len(names)
    with _chart(title, height=WIDTH) as (axes, svg):
        for (row, column), share in np.ndenumerate(np.clip(shares, 0, 1)):
            # Vector cells, not a picture: only these can take a colour from the style sheet.
            if share > _FAINT:
                cell = Rectangle((column - 0.5, row - 0.5), 1, 1, color=MAIN, alpha=0.85 * share, linewidth=0)
                axes.add_patch(cell)
        axes.set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5), aspect="equal")
        axes.grid(visible=False)
        step = 1 if side <= _NAMED else side // _NAMED + 1
        ticks = range(0, side, step)
        axes.set_xticks(ticks, names[::step], rotation=90)
        axes.set_yticks(ticks, names[::step])
        axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
        if side <= _NUMBERED:
            for (row, column), number in np.ndenumerate(numbers):
                axes.text(column, row, f"{number}", ha="center", va="center")
    return svg[0]


@contextmanager
def _chart(title: str, height: float = 3.0) -> Iterator[tuple[Any, list[str]]]:
    """Yield axes to draw on and a list that holds the SVG when the block ends."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    svg: list[str] = []
    # The salt makes ids that depend on nothing else, and differ from one chart of the page to the next.
    with mpl.rc_context({**_STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_subplot()
        yield axes, svg
        page = io.StringIO()
        figure.savefig(page, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg.append(_themed(page.getvalue(), title))


def _themed(svg: str, title: str) -> str:
    """Return the SVG element alone, without a background, named for a screen reader, coloured by the style sheet."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]+">', "<g>", svg)  # nothing refers to a group, and the ids of one page must differ
    svg = re.sub(r"font-family: [^;]+;", "", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
