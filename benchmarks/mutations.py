"""Change the code in random places and see whether a test fails: mutation testing of what scores stand on.

    python -m venv peer && peer/bin/pip install cosmic-ray==8.7.0
    python benchmarks/mutations.py --peer peer/bin/python [--mutations 300] [--seed 0] [--workers 2]

Cosmic Ray lists every mutation of the modules below (another operator, comparison, number, boolean, no loop, ...); a
sample of them, by the seed, is made in a copy of the repository, one at a time, and the module's own tests are run.
Prints each survivor as a diff, and the share that was killed. Leaves out `|` between types, which tests cannot see.
"""

import argparse
import difflib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import numpy as np

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 300
# Folder or module below src/podium -> its tests.
MODULES = {
    "contracts": ("tests/contracts", "tests/stages/test_submit.py", "tests/stages/test_bank.py"),
    "splits": ("tests/splits", "tests/fitting/test_crossfit.py", "tests/stages/test_fold.py"),
    "fitting": ("tests/fitting", "tests/stages/test_ensemble.py", "tests/stages/test_fit_and_fuse.py"),
    "ensembles": ("tests/ensembles", "tests/stages/test_ensemble.py"),
    "metrics.py": ("tests/test_metrics.py",),
    "stages/submit.py": ("tests/stages/test_submit.py",),
    "analysis/leaks.py": ("tests/analysis/test_leaks.py", "tests/commands/test_leaks.py"),
}
# Run by the peer: every mutation of the files as [file, operator, occurrence], or one mutated file.
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
        n = sum(1 for node in ast_nodes(tree) for _ in operator().mutation_positions(node))
        found += [[file, name, i] for i in range(n)]
print(json.dumps(found))
"""
MUTATE = """
import sys
from pathlib import Path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
file, name, occurrence = sys.argv[1:]
sys.stdout.write(mutate_code(Path(file).read_text(encoding="utf-8"), get_operator(name)(), int(occurrence)))
"""


def answer(peer: str, program: str, *arguments: str) -> str:
    """Return what the peer prints."""
    return subprocess.run([peer, "-c", program, *arguments], capture_output=True, text=True, check=True).stdout


def survives(copy: Path, file: str, mutated: str) -> bool:
    """Return whether all tests of a module pass in the copy with its mutated file."""
    path, key = copy / file, next(key for key in MODULES if file.startswith(f"src/podium/{key}"))
    original = path.read_text(encoding="utf-8")
    path.write_text(mutated, encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", *MODULES[key]],
            check=False,
            cwd=copy,
            env=os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return False  # it hangs, as a person would notice
    finally:
        path.write_text(original, encoding="utf-8")
    return done.returncode == 0


def main() -> None:
    """Sample, mutate, test and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peer", required=True, help="a Python with cosmic-ray")
    parser.add_argument("--mutations", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    files = [
        file.relative_to(ROOT).as_posix()
        for key in MODULES
        for file in sorted((ROOT / "src/podium" / key).rglob("*.py") if "." not in key else [ROOT / "src/podium" / key])
    ]
    os.chdir(ROOT)
    everything = json.loads(answer(arguments.peer, LIST, *files))
    chosen = np.random.default_rng(arguments.seed).permutation(len(everything))[: arguments.mutations]
    print(
        f"{len(everything)} mutations of {len(files)} files; {len(chosen)} drawn by seed {arguments.seed}", flush=True
    )
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.workers) as pool:
        copies = Queue[Path]()
        for number in range(arguments.workers):
            ignored = shutil.ignore_patterns(".git", ".venv", ".dvc", ".podium", "__pycache__", "raw")
            copies.put(Path(shutil.copytree(ROOT, Path(folder) / str(number), ignore=ignored, symlinks=True)))

        def one(number: int) -> bool:
            file, name, occurrence = everything[number]
            mutated = answer(arguments.peer, MUTATE, file, name, str(occurrence))
            copy = copies.get()
            try:
                alive = survives(copy, file, mutated)
            finally:
                copies.put(copy)
            if alive:
                before = Path(file).read_text(encoding="utf-8").splitlines()
                changed = difflib.unified_diff(before, mutated.splitlines(), file, name, lineterm="", n=0)
                print(*changed, sep="\n", flush=True)
            return alive

        n_alive = sum(pool.map(one, chosen))
    print(f"{len(chosen) - n_alive} of {len(chosen)} killed: {1 - n_alive / len(chosen):.1%}")


if __name__ == "__main__":
    main()
