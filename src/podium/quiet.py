"""TensorFlow without what its libraries write to standard error about CUDA, oneDNN and their own logs."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_STDERR = 2
_FATAL = "3"  # errors come as exceptions of Python, too


def quieten() -> None:
    """Let TensorFlow, whenever it is loaded, write fatal errors only; `TF_CPP_MIN_LOG_LEVEL` says otherwise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _FATAL)
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] == _FATAL and not any(isinstance(one, _Loading) for one in sys.meta_path):
        sys.meta_path.insert(0, _Loading())


class _Loading(MetaPathFinder):
    """Loads tensorflow with standard error aside: before its logs are set up, it writes whatever the level is."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the usual spec, whose loader is silent."""
        spec = PathFinder.find_spec(name, path, target) if name == "tensorflow" else None
        if spec is None or spec.loader is None:
            return None
        loaded = spec.loader.exec_module

        def silently(module: ModuleType) -> None:
            with _aside():
                loaded(module)

        spec.loader.exec_module = silently  # type: ignore[method-assign]  # of this one loader
        return spec


@contextmanager
def _aside() -> Iterator[None]:
    """Keep what C code writes to standard error, and show it where the work fails."""
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), _STDERR)
        try:
            yield
        except BaseException:
            os.dup2(kept, _STDERR)
            file.seek(0)
            os.write(_STDERR, file.read())
            raise
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
