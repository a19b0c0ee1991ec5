"""Change the code in random places and see whether a test fails: mutation testing of what scores stand on.

    python -m venv peer && peer/bin/pip install cosmic-ray==8.7.0
    python benchmarks/mutations.py --peer peer/bin/python [--mutations 300] [--seed 0] [--folder FOLDER] [--again]

Cosmic Ray lists every mutation of the modules below (another operator, comparison, number, boolean, no loop, ...); a
sample of them, by the seed, is made in a copy of the repository, one at a time. The tests that run the mutated line are
run until one fails, in a fork of a process that has imported the libraries. Leaves out `|` between types, which tests
cannot see, and what needs Keras, DVC or a browser.

FOLDER keeps which test runs which line, and a line of JSON for each mutation: a run that was stopped goes on where it
was. `--again` tries those that survived once more, after tests were written. Prints each survivor as a diff, and the
share that was killed.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}

import argparse
import difflib
import hashlib
import importlib
import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
MODULES = (
    "contracts",
    "splits",
    "fitting",
    "ensembles",
    "metrics",
    "stages/submit.py",
    "analysis/leaks.py",
)
TESTS = (
    "tests/contracts",
    "tests/splits",
    "tests/fitting",
    "tests/ensembles",
    "tests/metrics",
    "tests/analysis/test_leaks.py",
    "tests/analysis/test_significance.py",
    "tests/commands/test_leaks.py",
    "tests/tasks",
    "tests/heads",
    "tests/serving",
    "tests/stages",
    "tests/test_config.py",
)
IMPORTS = (
    "pandas pandas.testing pyarrow.parquet h5py cv2 pydantic ruamel.yaml scipy.stats scipy.optimize scipy.special "
    "sklearn.linear_model sklearn.metrics sklearn.model_selection sklearn.ensemble lightgbm hypothesis _pytest.skipping"
)
LONGEST_S = 5  # a test that takes longer is not run
BUDGET_S = 25  # of the tests of one mutation, by the time that they took when they were traced
BYTES = 12 * 2**30  # of address space: a mutant may ask for anything

# Run by the peer: every mutation of the files as [file, operator, occurrence, first line, last line].
LIST = """
import json, sys
from pathlib import Path
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.plugins import get_operator, operator_names
found = []
for file in sys.argv[1:]:
    tree = get_ast_from_path(Path(file))
    for name in sorted(operator_names()):
        operator = get_operator(name)
        if operator.arguments() or "BitOr" in name:
            continue
        places = [place for node in ast_nodes(tree) for place in operator().mutation_positions(node)]
        found += [[file, name, i, start[0], stop[0]] for i, (start, stop) in enumerate(places)]
print(json.dumps(found))
"""
MUTATE = """
import json, sys
from pathlib import Path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
for file, name, occurrence, *_ in json.load(sys.stdin):
    print(json.dumps(mutate_code(Path(file).read_text(encoding="utf-8"), get_operator(name)(), int(occurrence))))
"""


class Tracer:
    """A pytest plug-in: the lines of some files that each test runs, with its seconds; only tests that pass."""

    def __init__(self, files: set[str]) -> None:
        self.files = files
        self.lines: set[tuple[str, int]] = set()
        self.of_file: dict[str, set[tuple[str, int]]] = defaultdict(set)  # test file -> lines of its shared fixtures
        self.tests: dict[str, dict[str, Any]] = {}

    def _trace(self, frame: Any, _event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename not in self.files:
            return None
        self.lines.add((frame.f_code.co_filename, frame.f_lineno))

        def local(frame: Any, _event: str, _argument: Any) -> Any:
            self.lines.add((frame.f_code.co_filename, frame.f_lineno))
            return local

        return local

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Any:
        """Count the lines of a fixture that several tests share for all of them."""
        before, self.lines = self.lines, set()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                self.of_file[request.node.nodeid.partition("::")[0]] |= self.lines
            self.lines |= before

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Any:
        """Trace one test."""
        self.lines, start = set(), time.monotonic()
        self.tests[item.nodeid] = {"passed": True}
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]  # it takes None
            self.tests[item.nodeid] |= {"seconds": time.monotonic() - start, "lines": sorted(self.lines)}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Remember what does not pass where nothing is mutated."""
        if not report.passed:
            self.tests[report.nodeid]["passed"] = False

    def result(self, copy: Path) -> dict[str, Any]:
        """Return test -> seconds and its lines, as `file:line` from the root of the copy."""
        found = {}
        for test, facts in self.tests.items():
            if facts["passed"] and facts["seconds"] <= LONGEST_S:
                lines = {*facts["lines"], *self.of_file[test.partition("::")[0]]}
                named = [f"{Path(file).relative_to(copy).as_posix()}:{line}" for file, line in lines]
                found[test] = {"seconds": facts["seconds"], "lines": sorted(named)}
        return found


class Chosen:
    """A pytest plug-in: only some tests, in their order; says which one failed."""

    def __init__(self, tests: list[str]) -> None:
        self.order = {test: n for n, test in enumerate(tests)}
        self.failed = "collection"
        self.n_run = 0

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep and sort."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self.order), key=lambda item: self.order[item.nodeid]
        )

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count, and remember the first failure."""
        self.n_run += report.when == "call"
        if report.failed and self.failed == "collection":
            self.failed = report.nodeid


def forked(copy: Path, limit_s: float, arguments: list[str], plugin: Any, finish: Any) -> tuple[int, str]:
    """Run pytest in a fork; returns its exit code, -1 past the limit, and what `finish(plugin, code)` says."""
    said = copy.parent / "said.txt"
    said.write_text("")
    child = os.fork()
    if not child:
        code = 3
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
            output = os.open(copy.parent / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(copy)
            os.environ["PYTHONPATH"] = str(copy / "src")
            sys.path[:0] = [str(copy / "src")]
            temporary = f"--basetemp={copy.parent / 'tmp'}"
            always = ["-q", "--tb=line", "-p", "no:xdist", "-p", "no:cacheprovider", temporary]
            code = int(pytest.main([*always, *arguments], plugins=[plugin]))
            said.write_text(finish(plugin, code))
        finally:
            os._exit(code)
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), said.read_text()
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1, "timeout"


def covered(copy: Path, files: list[str]) -> dict[str, Any]:
    """Return test -> seconds and lines, see Tracer."""
    sys.dont_write_bytecode = False  # the only run that leaves compiled files: nothing is mutated
    tracer = Tracer({str(copy / file) for file in files})
    # DVC's and the browser's tests lie elsewhere; those that take long by nature are marked.
    arguments = ["-m", "not (keras or dvc or browser)", "--deselect", "tests/fitting/test_honest_scores.py"]
    arguments += ["--ignore-glob=*hostile*", "--ignore-glob=*killed*", *TESTS]
    code, said = forked(copy, 3600, arguments, tracer, lambda plugin, _: json.dumps(plugin.result(copy)))
    sys.dont_write_bytecode = True
    if code not in {0, 1}:
        sys.exit(f"the tests do not run: {(copy.parent / 'output.txt').read_text()[-3000:]}")
    return json.loads(said)


def tests_of(mutation: list[Any], tests: dict[str, Any]) -> list[list[str]]:
    """Return the tests to run: those named after the file or of its room, then the others; the short ones first."""
    file, _, _, first, last = mutation
    lines = {f"{file}:{line}" for line in range(first, last + 1)}
    chosen = [test for test, facts in tests.items() if lines & set(facts["lines"])]
    if not chosen:  # what is run at import
        chosen = [test for test, facts in tests.items() if any(line.startswith(f"{file}:") for line in facts["lines"])]
    room, own = "tests/" + file.removeprefix("src/podium/").rpartition("/")[0], Path(file).stem

    def distance(test: str) -> int:
        path = test.partition("::")[0]
        return 0 if own in path else 1 if path.startswith(room) else 2

    parts: list[list[str]] = [[], []]
    budget_s = BUDGET_S
    for test in sorted(chosen, key=lambda test: (distance(test), tests[test]["seconds"])):
        if (budget_s := budget_s - tests[test]["seconds"]) > 0:
            parts[distance(test) // 2].append(test)
    return [part for part in parts if part]


def killed(copy: Path, mutation: list[Any], mutated: str, tests: dict[str, Any]) -> str:
    """Return what killed a mutation: a test, `timeout`, or nothing where all its tests passed."""
    path = copy / mutation[0]
    times, original = path.stat(), path.read_text(encoding="utf-8")
    path.write_text(mutated, encoding="utf-8")
    try:
        for part in tests_of(mutation, tests):
            files = list(dict.fromkeys(test.partition("::")[0] for test in part))
            limit_s = 30 + 5 * sum(tests[test]["seconds"] for test in part)
            code, said = forked(copy, limit_s, ["-x", *files], Chosen(part), lambda plugin, _: plugin.failed)
            if code:
                return said or f"exit code {code}"
    finally:
        path.write_text(original, encoding="utf-8")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as its compiled file has it
    return ""


def drawn(peer: str, files: list[str], n: int, seed: int, folder: Path) -> tuple[list[list[Any]], list[str]]:
    """Return a sample of all mutations and the mutated files, as the peer makes them; kept in the folder."""
    kept = folder / f"sample-{digest_of([ROOT / file for file in files])[:16]}-{seed}-{n}.json"
    if not kept.exists():
        everything = json.loads(answer(peer, LIST, *files))
        sample = [everything[place] for place in np.random.default_rng(seed).permutation(len(everything))[:n]]
        lines = answer(peer, MUTATE, given=json.dumps(sorted(sample))).splitlines()
        mutated = dict(zip(map(tuple, sorted(sample)), map(json.loads, lines), strict=True))
        kept.write_text(json.dumps([len(everything), sample, [mutated[tuple(mutation)] for mutation in sample]]))
    n_all, sample, texts = json.loads(kept.read_text())
    print(f"{n_all} mutations of {len(files)} files; {len(sample)} drawn by seed {seed}", flush=True)
    return sample, texts


def digest_of(files: list[Path]) -> str:
    """Return a digest of the files' content."""
    hasher = hashlib.sha256()
    for file in sorted(files):
        hasher.update(file.read_bytes())
    return hasher.hexdigest()


def difference(file: str, mutated: str) -> list[str]:
    """Return the changed lines as a diff."""
    before = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [*difflib.unified_diff(before, mutated.splitlines(), file, file, lineterm="", n=0)][2:]


def main() -> None:
    """Sample, mutate, test and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peer", required=True, help="a Python with cosmic-ray")
    parser.add_argument("--mutations", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=ROOT / "build/mutations")
    parser.add_argument("--again", action="store_true", help="try those that survived once more")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    sources = [ROOT / "src/podium" / name for name in MODULES]
    paths = [path for source in sources for path in (sorted(source.rglob("*.py")) if source.is_dir() else [source])]
    files = [path.relative_to(ROOT).as_posix() for path in paths]
    sample, texts = drawn(arguments.peer, files, arguments.mutations, arguments.seed, arguments.folder)

    for name in IMPORTS.split():
        importlib.import_module(name)
    log = arguments.folder / f"seed{arguments.seed}.jsonl"
    results = {
        tuple(line["mutation"][:3]): line
        for line in map(json.loads, log.read_text().splitlines() if log.exists() else [])
    }
    with tempfile.TemporaryDirectory() as folder:
        ignored = shutil.ignore_patterns(".git", ".venv", ".dvc", ".podium", "__pycache__", "raw", "build")
        copy = Path(shutil.copytree(ROOT, Path(folder) / "copy", ignore=ignored, symlinks=True))
        cache = arguments.folder / f"lines-{digest_of([*paths, *(ROOT / 'tests').rglob('*.py')])[:16]}.json"
        if not cache.exists():
            cache.write_text(json.dumps(covered(copy, files)))
        tests = json.loads(cache.read_text())
        print(f"{len(tests)} tests", flush=True)
        for mutation, mutated in zip(sample, texts, strict=True):
            known = results.get(tuple(mutation[:3]))
            if known and (known["killed"] or not arguments.again):
                continue
            start = time.monotonic()
            by = killed(copy, mutation, mutated, tests)
            line = {"mutation": mutation, "killed": by, "seconds": round(time.monotonic() - start, 1)}
            line["diff"] = difference(mutation[0], mutated)
            results[tuple(mutation[:3])] = line
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")

    lines = [results[tuple(mutation[:3])] for mutation in sample]
    for line in lines:
        if not line["killed"]:
            print(line["mutation"][0], line["mutation"][1], *line["diff"], sep="\n", flush=True)
    n_killed = sum(bool(line["killed"]) for line in lines)
    print(f"{n_killed} of {len(lines)} killed: {n_killed / len(lines):.1%}")


def answer(peer: str, program: str, *arguments: str, given: str = "") -> str:
    """Return what the peer prints."""
    command = [peer, "-c", program, *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
