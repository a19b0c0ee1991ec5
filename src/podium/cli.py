"""The command line: `podium <stage> [name]` and the helpers around it. The only argument parser."""

import argparse
import os
import select
import sys
import time
from importlib import import_module
from operator import attrgetter
from typing import Any

from podium.errors import PodiumError
from podium.quiet import quieten

# Stages in the order of the data flow; those with a name run once for each entry of a params section.
STAGES = {
    "scan": None,
    "download": None,
    "prepare": None,
    "fold": None,
    "augment": None,
    "extract": "backbones",
    "import_features": "imports.features",
    "finetune": "finetunes",
    "fit": "members",
    "gather": "fusions",
    "fuse": "fusions",
    "import_predictions": "imports.predictions",
    "enlist": "students",
    "teach": "students",
    "bank": None,
    "ensemble": None,
    "submit": None,
    "score": None,
    "report": None,
}

# Command -> module, function and the arguments that it takes after the configuration.
HELPERS = {
    "check-params": ("commands.check_params", "run", "data"),
    "scores": ("commands.scores", "run"),
    "compare": ("commands.compare", "run", "a", "b"),
    "new": ("commands.new", "run", "what"),
    "check": ("commands.check", "run", "file"),
    "upload": ("commands.upload", "run", "again"),
    "explain": ("commands.explain", "run", "ids", "member"),
    "label": ("commands.label", "run", "pictures", "network"),
    "tune": ("commands.tune", "run", "name", "trials"),
    "try": ("commands.try_fold", "run", "name", "fold", "settings"),
    "ledger": ("commands.ledger", "run"),
    "leaks": ("commands.leaks", "run"),
    "bundle": ("commands.bundle", "run", "folder", "user", "hidden", "hours", "slim", "wheels", "pins"),
    "export": ("commands.export", "run", "folder", "slim", "saved_model", "onnx"),
    "predict": ("commands.predict", "run", "what", "out", "sample", "rows", "pictures", "metadata"),
    "push": ("commands.push", "run", "folder"),
    "serve": ("commands.serve", "run", "folder", "host", "port", "queue", "max_megabytes", "max_megapixels"),
    "prune": ("commands.prune", "run", "yes"),
    "reference": ("commands.reference", "run"),
    "use": ("commands.use", "run", "name"),
}
WITHOUT_CONFIG = ("scan", "compare", "label", "new", "reference", "serve", "use")
_SPEAKING = ("extract", "finetune", "ensemble", "submit", "score")  # these stages say more than their counts
_STDOUT = 1
_SIGPIPE = 128 + 13  # what a shell reports of a command whose reader hung up


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, or 2 for a user's mistake (one line, no traceback)."""
    arguments = _parser().parse_args(argv)
    quieten()
    try:
        _run(arguments)
        sys.stdout.flush()
    except PodiumError as error:
        print(f"podium: {error}", file=sys.stderr)  # noqa: T201  # the command line speaks to a person
        return 2
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        return _SIGPIPE
    return 0


def _reader_is_gone() -> bool:
    """Return whether standard output is a pipe that nobody reads, as in `podium scores | head`; silence it if so."""
    poll = select.poll()
    poll.register(_STDOUT, 0)  # errors are told unasked
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)  # or Python complains again at exit
    return True


def _parser() -> argparse.ArgumentParser:  # a line for each command
    parser = argparse.ArgumentParser(prog="podium", description="Image competitions, from raw images to a submission.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for stage, section in STAGES.items():
        command = commands.add_parser(stage, help=f"run the stage {stage} of dvc.yaml")
        if section:
            command.add_argument("name", nargs="?", help=f"one of params.yaml's {section}; DVC says it by DVC_STAGE")
    check_params = commands.add_parser("check-params", help="check params.yaml and its competition, at once")
    check_params.add_argument("--data", action="store_true", help="the tables and file names, too: folds, metric, form")
    commands.add_parser("scores", help="show the table of members and the ensemble, naive, cross-fitted and held out")
    compare = commands.add_parser("compare", help="what differs between two revisions, and whether B is really better")
    compare.add_argument("a", metavar="A", help="a git revision or a DVC experiment")
    compare.add_argument("b", metavar="B", nargs="?", default="workspace", help="another; the work tree by default")
    new = commands.add_parser("new", help="write a competition's YAML from its files, and audit its images")
    new.add_argument("what", metavar="SLUG_OR_FOLDER", help="a Kaggle competition's name, or a folder with its files")
    check = commands.add_parser("check", help="check a submission file as strictly as the competition's server")
    check.add_argument("file", metavar="FILE", nargs="?", help="submissions/<competition>.csv by default")
    upload = commands.add_parser("upload", help="check and submit to Kaggle, wait for the score, keep it")
    upload.add_argument("--again", action="store_true", help="even if this very file was uploaded before")
    explain = commands.add_parser("explain", help="show where in images a member, or the ensemble, sees its evidence")
    explain.add_argument("ids", metavar="IMAGE_ID", nargs="*", help="all of the report's gallery by default")
    explain.add_argument("--member", help="or `ensemble`; the best with exact maps by default")
    label = commands.add_parser("label", help="print the likeliest ImageNet labels of any picture")
    label.add_argument("pictures", metavar="PICTURE", nargs="+", help="a file, a folder, or - for a picture on stdin")
    label.add_argument("--network", default="efficientnet_lite0", help="one with a classifier (default: %(default)s)")
    tune = commands.add_parser("tune", help="look for better settings of one head, or of a finetune on one fold")
    tune.add_argument("name", metavar="NAME", help="one of params.yaml's members, fusions or finetunes")
    tune.add_argument(
        "--trials", type=int, help="how many more settings to try (default: 30 of a head, 6 of a finetune)"
    )
    try_ = commands.add_parser("try", help="score one fold of a member, fusion or finetune; no output is touched")
    try_.add_argument("name", metavar="NAME", help="one of params.yaml's members, fusions or finetunes")
    try_.add_argument("--fold", type=int, default=0, help="which (default: 0)")
    try_.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="another setting than its own"
    )
    commands.add_parser("ledger", help="show the uploads, CV against leaderboard, and the two final picks")
    commands.add_parser("leaks", help="look for copies, shared groups and telling metadata; say what each model saw")
    _add_serving(commands)
    prune = commands.add_parser("prune", help="list cached rows and outputs that no params name any more")
    prune.add_argument("--yes", action="store_true", help="remove them")
    commands.add_parser("reference", help="print every key of params.yaml and of a competition, as Markdown")
    use = commands.add_parser("use", help="put a recipe in place as params.yaml")
    use.add_argument("name", metavar="RECIPE", help="a name in recipes/, without .yaml")
    return parser


def _add_serving(commands: Any) -> None:
    """Add the commands by which a fitted ensemble sees new pictures."""
    predict = commands.add_parser("predict", help="predict new pictures by the whole ensemble")
    predict.add_argument("what", metavar="PATH", nargs="+", help="images, folders, zip archives, videos")
    predict.add_argument("--out", metavar="FILE_OR_FOLDER", help="a CSV; the table is printed by default")
    predict.add_argument("--sample", metavar="FILE", help="a sample submission, to write a submission of its lines")
    predict.add_argument("--rows", metavar="TEMPLATE_OR_CSV", help="a row's id from its path, such as '{path.stem}'")
    predict.add_argument("--metadata", metavar="CSV", help="its columns by row_id, for members that take metadata")
    predict.add_argument("--pictures", metavar="FOLDER", help="draw each with its label, probability and heatmap")
    export = commands.add_parser("export", help="write the ensemble as a folder that needs no podium")
    export.add_argument("folder", metavar="FOLDER", nargs="?", help="exports/<competition> by default")
    export.add_argument("--slim", metavar="LOSS", type=float, help="the smallest ensemble within this loss of score")
    export.add_argument("--saved-model", action="store_true", help="networks as TensorFlow's SavedModel, too")
    export.add_argument("--onnx", action="store_true", help="networks as ONNX, too")
    bundle = commands.add_parser("bundle", help="write a Kaggle dataset and kernel of the ensemble, and rehearse them")
    bundle.add_argument("folder", metavar="FOLDER", nargs="?", help="bundles/<competition> by default")
    bundle.add_argument("--user", metavar="NAME", help="whose dataset and kernel it will be; else KAGGLE_USERNAME")
    bundle.add_argument("--hidden", metavar="N", type=int, help="rows of the hidden test set, to say how long it takes")
    bundle.add_argument("--hours", type=float, default=9.0, help="what the competition allows (default: 9)")
    bundle.add_argument("--slim", metavar="LOSS", type=float, help="the smallest ensemble within this loss of score")
    bundle.add_argument("--wheels", metavar="FOLDER", help="where the packages' wheels lie, rather than a download")
    bundle.add_argument("--pins", metavar="FILE", help="packages as Kaggle's image has them, to rehearse with, too")
    push = commands.add_parser("push", help="push a rehearsed bundle to Kaggle, submit its kernel, wait for the score")
    push.add_argument("folder", metavar="FOLDER", nargs="?", help="bundles/<competition> by default")
    serve = commands.add_parser("serve", help="answer pictures over HTTP: KServe's protocol, and a page for a person")
    serve.add_argument("folder", metavar="FOLDER", nargs="?", help="an exported model; the fitted ensemble by default")
    serve.add_argument("--host", default="127.0.0.1", help="whom it listens to (default: this machine only)")
    serve.add_argument("--port", type=int, default=8080, help="0 for any that is free (default: 8080)")
    serve.add_argument("--queue", type=int, default=64, metavar="N", help="pictures at once; else 503 (default: 64)")
    serve.add_argument("--max-megabytes", type=float, default=16, metavar="MB", help="of one request (default: 16)")
    serve.add_argument("--max-megapixels", type=float, default=50, metavar="MP", help="of one picture (default: 50)")


def _run(arguments: argparse.Namespace) -> None:
    command = arguments.command
    config = [] if command in WITHOUT_CONFIG else [import_module("podium.config").load()]
    if command == "scan":
        import_module("podium.stages.scan").run()
        return
    if command in STAGES:
        _run_stage(config[0], arguments)
        return
    module, function, *names = HELPERS[command]
    # Imported here, so that `podium --help` answers at once.
    getattr(import_module(f"podium.{module}"), function)(*config, **{name: getattr(arguments, name) for name in names})


def _run_stage(config: Any, arguments: argparse.Namespace) -> None:
    stage = import_module(f"podium.stages.{arguments.command}")
    section = STAGES[arguments.command]
    # No command of dvc.yaml holds a name of params.yaml: the shell would run what it says.
    names = [arguments.name or _name_by_dvc(arguments.command)] if section else []
    choices = attrgetter(section)(config.params) if section else {}
    if names and names[0] not in choices:
        raise PodiumError(f"params.yaml: {section}: no {names[0]!r}; choose one of: {', '.join(choices)}")
    started, address = time.monotonic(), "@".join([arguments.command, *names])
    facts = stage.run(config, *names)
    seconds = time.monotonic() - started
    import_module("podium.storage.journal").write(config.params.competition, address, seconds, facts)
    if arguments.command not in _SPEAKING:
        done = ", ".join(f"{name} {value:,}" for name, value in (facts or {}).items())
        print(f"{address}: {f'{done}; ' if done else ''}{seconds:.1f} s")  # noqa: T201  # what it did, in a line


def _name_by_dvc(stage: str) -> str:
    """Return the key of the `foreach` item that DVC runs, from the stage's address: `fit@logistic_lite0`."""
    address = os.environ.get("DVC_STAGE", "").rpartition(":")[2]
    name = address.partition("@")[2]
    if address.partition("@")[0] != stage:
        raise PodiumError(f"`podium {stage}` takes a name: one of params.yaml's {STAGES[stage]}")
    return name


if __name__ == "__main__":
    sys.exit(main())
