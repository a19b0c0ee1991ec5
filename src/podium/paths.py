"""Every path, built from names and relative to the repository's root, where DVC runs each stage."""

import os
from pathlib import Path

DVC_TMP = Path(".dvc/tmp")
DVC_LOCK = Path("dvc.lock")
PARAMS = Path("params.yaml")
COMPETITIONS = Path("competitions")
RECIPES = Path("recipes")
LEADERBOARD = Path("leaderboard.csv")
METRICS_ENSEMBLE = Path("metrics/ensemble.json")
METRICS_HELDOUT = Path("metrics/heldout.json")


def competition(name: str) -> Path:
    """Return the YAML that describes a competition."""
    return COMPETITIONS / f"{name}.yaml"


def raw(name: str) -> Path:
    """Return the folder of a competition's downloads, as they came."""
    return data(name, "raw")


def scan(name: str, what: str) -> Path:
    """Return the digest of what DVC cannot name as a dependency: `source`, `metrics` or `folds`."""
    return data(name, f"scan/{what}.json")


def data(name: str, file: str) -> Path:
    """Return a small table of a competition, such as `rows.parquet`."""
    return Path("data") / name / file


def dataset(name: str) -> Path:
    """Return the folder of a competition's prepared tables."""
    return Path("data") / name


def features(name: str, backbone: str) -> Path:
    """Return the HDF5 file of one backbone's features."""
    return Path("features") / name / f"{backbone}.h5"


def fusion(name: str, fusion_name: str) -> Path:
    """Return the manifest of the feature files that a fusion reads."""
    return Path("data") / name / "fusions" / f"{fusion_name}.json"


def fusion_path(name: str, fusion_name: str, suffix: str) -> Path:
    """Return the table (csv) or the picture (png) of what each backbone adds to a fusion."""
    return Path("data") / name / "fusions" / f"{fusion_name}.path.{suffix}"


def finetune(name: str, finetune_name: str, suffix: str) -> Path:
    """Return the learning curves (csv) of a finetune, or the picture (png) of its augmented images."""
    return Path("data") / name / "finetunes" / f"{finetune_name}.{suffix}"


def predictions(name: str, member: str) -> Path:
    """Return the folder of one member's out-of-fold and test predictions."""
    return Path("predictions") / name / member


def models(name: str, member: str) -> Path:
    """Return the folder of one member's fitted models; the ensemble's is called `ensemble`."""
    return Path("models") / name / member


def student(name: str, student_name: str, file: str) -> Path:
    """Return an output of a student: its `predictions`, its `models`, or its targets."""
    return Path("students") / name / student_name / file


def teachers(name: str, student_name: str, what: str) -> Path:
    """Return the manifest of the `predictions`, or of the `features`, that a student's teachers need."""
    return data(name, f"students/{student_name}.{what}.json")


def ensemble(name: str) -> Path:
    """Return the folder of the ensemble's out-of-fold and test predictions, and of its tables."""
    return Path("ensembles") / name


def bank_table(name: str) -> Path:
    """Return the table of members with their scores and weights."""
    return ensemble(name) / "bank.csv"


def method_table(name: str) -> Path:
    """Return the table of ensemble methods, and why one of them was chosen."""
    return ensemble(name) / "methods.csv"


def climb_table(name: str) -> Path:
    """Return the steps of the ensemble's search."""
    return ensemble(name) / "path.csv"


def submission(name: str) -> Path:
    """Return the CSV that goes to the competition."""
    return Path("submissions") / f"{name}.csv"


def report(name: str, file: str) -> Path:
    """Return a file of the report, such as `roc.csv`."""
    return Path("reports") / name / file


def cache() -> Path:
    """Return the machine's cache of feature rows and exported models, outside git and DVC.

    `PODIUM_CACHE` names it; else it lies under the real repository root, which DVC passes as
    `DVC_ROOT` to queued and temporary runs too, so that all of them share it.
    """
    named = os.environ.get("PODIUM_CACHE")
    return Path(named) if named else Path(os.environ.get("DVC_ROOT", ".")) / ".podium"


def journal() -> Path:
    """Return the machine's log of stages that ran."""
    return cache() / "journal.jsonl"


def heatmap(name: str, file: str) -> Path:
    """Return a picture of `podium explain`."""
    return Path("heatmaps") / name / file


def export(name: str) -> Path:
    """Return the folder of an exported ensemble."""
    return Path("exports") / name


def bundle(name: str) -> Path:
    """Return the folder of a Kaggle dataset and kernel."""
    return Path("bundles") / name
