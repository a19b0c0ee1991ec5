"""The command line: `podium <stage> [name]` and the helpers around it. The only argument parser."""

import argparse
import sys
from importlib import import_module

from podium.errors import PodiumError

# Stages in the order of the data flow; those with a name run once for each entry of a params section.
STAGES = {
    "download": None,
    "prepare": None,
    "fold": None,
    "augment": None,
    "extract": "backbones",
    "fit": "members",
    "gather": "fusions",
    "fuse": "fusions",
    "bank": None,
    "ensemble": None,
    "submit": None,
    "score": None,
    "report": None,
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, or 2 for a user's mistake (one line, no traceback)."""
    arguments = _parser().parse_args(argv)
    try:
        _run(arguments)
    except PodiumError as error:
        print(f"podium: {error}", file=sys.stderr)  # noqa: T201  # the command line speaks to a person
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="podium", description="Image competitions, from raw images to a submission.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for stage, section in STAGES.items():
        command = commands.add_parser(stage, help=f"run the stage {stage} of dvc.yaml")
        if section:
            command.add_argument("name", help=f"one of params.yaml's {section}")
    commands.add_parser("check-params", help="check params.yaml and its competition, before anything expensive")
    commands.add_parser("scores", help="show the table of members and the ensemble, naive, cross-fitted and held out")
    compare = commands.add_parser("compare", help="what differs between two revisions, and whether B is really better")
    compare.add_argument("a", metavar="A", help="a git revision or a DVC experiment")
    compare.add_argument("b", metavar="B", nargs="?", default="workspace", help="another; the work tree by default")
    use = commands.add_parser("use", help="put a recipe in place as params.yaml")
    use.add_argument("name", metavar="RECIPE", help="a name in recipes/, without .yaml")
    return parser


def _run(arguments: argparse.Namespace) -> None:
    # Imported here, so that `podium --help` answers at once.
    if arguments.command == "use":
        recipes = import_module("podium.recipes")
        recipes.use(arguments.name)
        return
    if arguments.command == "compare":
        import_module("podium.compare").show(arguments.a, arguments.b)
        return
    config = import_module("podium.config").load()
    if arguments.command == "check-params":
        import_module("podium.preflight").check(config)
        return
    if arguments.command == "scores":
        import_module("podium.scores").show(config)
        return
    stage = import_module(f"podium.stages.{arguments.command}")
    section = STAGES[arguments.command]
    if section is None:
        stage.run(config)
        return
    choices = getattr(config.params, section)
    if arguments.name not in choices:
        raise PodiumError(f"params.yaml: {section}: no {arguments.name!r}; choose one of: {', '.join(choices)}")
    stage.run(config, arguments.name)


if __name__ == "__main__":
    sys.exit(main())
