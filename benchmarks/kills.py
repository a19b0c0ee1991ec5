"""Kill a pipeline at random moments, resume it, and compare every output with that of a run left alone.

    python benchmarks/kills.py [--kills 200] [--runs 20] [--seed 0] [--folder FOLDER]

Makes the small competition of tests/pipeline, with a trained network and imports, once for each run. A run is `podium
check-params` and `dvc repro`, as `make submission` does it, killed with all of its processes (SIGKILL) after a random
time, started again, and so on, then left to finish. Fails where a run does not complete or any output differs.

FOLDER keeps a line of JSON for each run, so that a command that was stopped goes on where it was.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/pipeline"))
import conftest  # noqa: E402  # the small competition of the tests

OUTPUTS = ("data", "features", "models", "predictions", "ensembles", "submissions", "metrics")
COMMAND = "podium check-params && exec dvc repro"


def made(path: Path) -> Any:
    """Return a workspace that has not run yet, with a trained network and imports."""
    workspace = conftest._make(path)  # see above
    workspace.add_finetune()
    ids = [f"{k:03d}" for k in range(48)]
    (path / "theirs").mkdir()
    lines = "".join(f"{row_id},0.5\n" for row_id in ids)
    (path / "theirs/predictions.csv").write_text(f"row_id,p_0\n{lines}")
    imports = {"predictions": {"mate": "theirs/predictions.csv"}, "features": {}}
    workspace.edit(lambda params: params.update(imports=imports))
    return workspace


def digests(path: Path) -> dict[str, str]:
    """Return output file -> SHA-256."""
    files = (file for name in OUTPUTS for file in sorted((path / name).rglob("*")) if file.is_file())
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.name != ".gitignore"
    }


def run(workspace: Any, limit_s: float | None) -> tuple[int, str]:
    """Run until the end, or kill all of its processes after a time; returns the exit code and the output."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["bash", "-c", COMMAND],
            cwd=workspace.path,
            env={key: value for key, value in workspace.env().items() if key != "PYTHONDONTWRITEBYTECODE"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        return process.returncode, output.read()


def main() -> None:
    """Kill, resume and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=ROOT / "build/kills")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    log = arguments.folder / f"kills-seed{arguments.seed}.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        template = made(Path(folder) / "template/work")
        if not lines:
            alone = copied(template, Path(folder) / "alone/work")
            start = time.monotonic()
            code, output = run(alone, None)
            if code:
                sys.exit(f"the run that was left alone failed:\n{output}")
            lines = [{"seconds": time.monotonic() - start, "digests": digests(alone.path)}]
            append(log, lines[0])
        expected, seconds = lines[0]["digests"], lines[0]["seconds"]
        for number in range(len(lines) - 1, arguments.runs):
            rng, hit = np.random.default_rng((arguments.seed, number)), Counter[str]()
            workspace = copied(template, Path(folder) / f"run{number}/work")
            n_kills = arguments.kills // arguments.runs + (number < arguments.kills % arguments.runs)
            for _ in range(n_kills):
                code, output = run(workspace, rng.uniform(0.02, 2.5 / max(n_kills, 2)) * seconds)
                stages = re.findall(r"Running stage '([^'@]+)", output)
                hit[stages[-1] if stages and code else "before or between stages"] += code != 0
            code, output = run(workspace, None)
            found = digests(workspace.path)
            differing = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
            if code or differing:
                print(f"run {number}: exit code {code}, differing: {differing}\n{output[-2000:]}", flush=True)
            lines.append({"hit": dict(hit), "ok": not code and not differing})
            append(log, lines[-1])
            print(f"run {number}: {hit.total()} kills {dict(hit)}", flush=True)
            shutil.rmtree(workspace.path.parent)
    hits = Counter[str]()
    for line in lines[1:]:
        hits.update(line["hit"])
    failed = sum(not line["ok"] for line in lines[1:])
    print(f"{hits.total()} kills in {len(lines) - 1} runs of {seconds:.0f} s: {dict(hits.most_common())}")
    sys.exit(f"{failed} runs did not end as the one left alone" if failed else None)


def copied(template: Any, path: Path) -> Any:
    """Return a copy of a workspace."""
    shutil.copytree(template.path, path, symlinks=True)
    return conftest.Workspace(path)


def append(log: Path, line: dict[str, Any]) -> None:
    """Add a line of JSON to a file."""
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
