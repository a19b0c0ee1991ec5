"""`podium serve [FOLDER]`: the ensemble, or an exported one, behind HTTP until it is stopped."""

import logging
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from podium import config as config_module
from podium.commands.predict import MOST_PIXELS
from podium.errors import PodiumError
from podium.serving import ensemble as ensembles
from podium.serving import runner

if TYPE_CHECKING:
    from podium.serving.server import Model

_SHUTDOWN_S = 30.0  # for requests that are being answered


def run(folder: str | None, host: str, port: int, queue: int, max_megabytes: float, max_megapixels: float) -> None:
    """Serve until SIGINT or SIGTERM; requests that have come are answered before it ends."""
    for value, option in ((queue, "--queue"), (max_megabytes, "--max-megabytes"), (max_megapixels, "--max-megapixels")):
        if not value > 0:
            raise PodiumError(f"{option}: must be more than 0, not {value:g}")
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))  # OpenCV reads it when it is loaded
    try:
        from aiohttp import web
    except ImportError:
        raise PodiumError("serve: it takes aiohttp; run pip install 'podium[serve]'") from None
    from podium.serving.server import Limits, application

    listening = _listen(host, port)  # before the model is loaded, which takes seconds
    model = exported(Path(folder)) if folder else fitted()
    limits = Limits(max_megabytes, max_megapixels, queue)
    # A client's broken HTTP is answered, and nothing that this log should hold.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"{model.name}: http://{shown}:{port} (Ctrl-C ends it)", flush=True)  # noqa: T201  # the command's answer
    app = application(model, limits)
    web.run_app(app, sock=listening, shutdown_timeout=_SHUTDOWN_S, access_log=None, print=None)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number and number > 0 else str(error)
        raise PodiumError(f"--port: cannot listen on {host}, port {port}: {reason}") from None


def exported(folder: Path) -> "Model":
    """Return an exported model, every file of it checked."""
    from podium.serving.server import Model

    manifest = runner.read_manifest(folder)
    try:
        predictor = runner.load(folder, manifest)
        return Model(manifest["competition"], manifest["task"]["kind"], tuple(manifest["labels"]), predictor)
    except (KeyError, TypeError) as error:
        raise PodiumError(f"{folder / 'manifest.json'}: not the manifest of an exported model ({error})") from None


def fitted() -> "Model":
    """Return the ensemble of params.yaml's competition."""
    from podium.serving.server import Model

    config = config_module.load()
    ensemble = ensembles.read(config)
    if ensemble.note:
        print(f"serve: {ensemble.note}", file=sys.stderr)  # noqa: T201  # before any work
    predictor = ensemble.predictor(ensembles.network)
    return Model(config.params.competition, config.competition.task.kind, ensemble.labels, predictor)
