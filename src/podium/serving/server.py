"""An ensemble behind HTTP: KServe's protocol for programs, a page for a person. Nothing is written to a disk.

Each request holds a place in a queue of bounded length from its first byte on; without a free place it gets a 503.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from podium.imaging.overlay import data_uri, stretched
from podium.imaging.pixels import UnreadableImageError, decode, dimensions
from podium.serving import occlusion, openapi, protocol
from podium.serving.batches import Batches
from podium.serving.cells import labelled
from podium.serving.protocol import VERSION, RefusalError
from podium.serving.runtime import Arrays, Loaded, Picture, Predictor, Row

_HERE = Path(__file__).parent
_HEAT_PX = 256  # of the heatmap's longer side: it has 8 places
_HEATMAPS = 2  # at once: each asks for 65 predictions
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' data: blob:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PAGE = {"page.html": "text/html", "page.js": "text/javascript", "page.css": "text/css"}
_LOG = logging.getLogger("podium.serve")


@dataclass(frozen=True)
class Model:
    """What is served, under the competition's name; `kind` is the task's."""

    name: str
    kind: str
    labels: tuple[str, ...]
    predictor: Predictor


@dataclass(frozen=True)
class Limits:
    """What a client may ask for: the size of a request, a picture's pixels, requests and pictures at once."""

    megabytes: float = 16
    megapixels: float = 50
    queue: int = 64
    upload_s: float = 30


def application(model: Model, limits: Limits | None = None) -> web.Application:
    """Return the application, its threads started."""
    limits = limits or Limits()
    service = Service(model, limits)
    app = web.Application(client_max_size=round(limits.megabytes * 1e6), middlewares=[_in_one_line])
    one = "/v2/models/{name}"
    app.add_routes(
        [
            web.get("/v2", service.about_server),
            web.get("/v2/health/live", service.live),
            web.get("/v2/health/ready", service.ready),
            web.get("/openapi.json", service.openapi),
            web.post("/picture", service.picture),
            *(web.get("/" if file == "page.html" else f"/{file}", _sender(file, kind)) for file, kind in _PAGE.items()),
        ]
    )
    for path in (one, f"{one}/versions/{{version}}"):
        app.router.add_get(path, service.about_model)
        app.router.add_get(f"{path}/ready", service.model_ready)
        app.router.add_post(f"{path}/infer", service.infer)
    app.on_cleanup.append(service.close)
    return app


class Service:
    """The handlers, and what they share: decoding threads, the networks' thread, and the places in the queue."""

    def __init__(self, model: Model, limits: Limits) -> None:
        self._model, self._limits = model, limits
        # A heatmap takes predictions as they are before the clip, which therefore comes last, here.
        self._predictor, self._clip = occlusion.unclipped(model.predictor), model.predictor.model.clip
        self._batches = Batches(self._predictor, lambda: self._coming > 0)
        self._decoders = ThreadPoolExecutor(model.predictor.workers, "decoder")
        self._explainers = ThreadPoolExecutor(_HEATMAPS, "heatmap")
        self._taken = self._coming = self._explained = 0  # places, requests being decoded, heatmaps

    async def close(self, _app: web.Application) -> None:
        """Finish what waits."""
        self._explainers.shutdown()
        self._decoders.shutdown()
        await asyncio.to_thread(self._batches.close)

    async def live(self, _request: web.Request) -> web.Response:
        """Answer that the process runs."""
        return web.json_response({"live": True})

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer that the model can be asked: it was loaded before the port was opened."""
        return web.json_response({"ready": True})

    async def about_server(self, _request: web.Request) -> web.Response:
        """Answer with the server's metadata."""
        return web.json_response({"name": "podium", "version": version("podium"), "extensions": ["binary_tensor_data"]})

    async def openapi(self, _request: web.Request) -> web.Response:
        """Answer with the description of all of this."""
        return web.json_response(openapi.document(self._model.name))

    async def about_model(self, request: web.Request) -> web.Response:
        """Answer with the model's inputs, outputs and labels."""
        self._require_model(request)
        columns, outputs = protocol.outputs(self._model.kind, self._model.labels)
        about = {"name": self._model.name, "versions": [VERSION], "platform": "podium", "inputs": protocol.INPUTS}
        parameters = {"labels": list(self._model.labels), "columns": columns}
        return web.json_response(about | {"outputs": outputs, "parameters": parameters})

    async def model_ready(self, request: web.Request) -> web.Response:
        """Answer that the model can be asked."""
        self._require_model(request)
        return web.json_response({"name": self._model.name, "ready": True})

    async def infer(self, request: web.Request) -> web.Response:
        """Answer an InferRequest."""
        self._require_model(request)
        with self._place() as take:
            body = await self._body(request)
            header_length = request.headers.get("Inference-Header-Content-Length")
            asked, pictures = await self._decoding(protocol.read, body, header_length)
            protocol.require_outputs(asked, self._model.kind, self._model.labels)
            if not 0 < len(pictures) <= self._limits.queue:
                raise RefusalError(400, f"a request of {len(pictures)} pictures; it takes 1 to {self._limits.queue}")
            take(len(pictures) - 1)
            p = await self._predict(pictures)
        content, headers = protocol.answer(asked, self._model.name, self._model.kind, self._model.labels, p)
        return web.Response(body=content, headers=headers)

    async def picture(self, request: web.Request) -> web.Response:
        """Answer the bytes of one image file with label and numbers; with `?heatmap=1`, a heatmap as a data URI."""
        if request.query.get("heatmap", "0") not in {"0", "1"}:
            raise RefusalError(400, "heatmap: must be 0 or 1")
        with self._place():
            data = await self._body(request)
            p = await self._predict([data])
            header, (line,) = labelled(self._model.kind, self._model.labels, p)
            is_value = self._model.kind == "regression"
            numbers = [float(str(x)) for x in p[0]]
            answer: dict[str, Any] = {"columns": header if is_value else header[1:], "values": numbers}
            if not is_value:
                answer["label"] = str(line[0])
            if request.query.get("heatmap") == "1":
                with self._explainer():
                    loop = asyncio.get_running_loop()
                    answer["heatmap"] = await loop.run_in_executor(self._explainers, self._explain, data)
        return web.json_response(answer)

    def _require_model(self, request: web.Request) -> None:
        name, asked = request.match_info["name"], request.match_info.get("version", VERSION)
        if name != self._model.name:
            raise RefusalError(404, f"no model {name[:100]!r}; there is {self._model.name!r}")
        if asked != VERSION:
            raise RefusalError(404, f"{self._model.name} has no version {asked[:100]!r}; there is {VERSION!r}")

    @contextmanager
    def _place(self) -> Iterator[Callable[[int], None]]:
        """Hold a place in the queue, and more by the function that is yielded; raises RefusalError where it is full."""
        held = 0

        def take(n: int) -> None:
            nonlocal held
            if self._taken + n > self._limits.queue:
                raise RefusalError(503, f"the queue of {self._limits.queue} is full; try again")
            self._taken, held = self._taken + n, held + n

        take(1)
        try:
            yield take
        finally:
            self._taken -= held

    @contextmanager
    def _explainer(self) -> Iterator[None]:
        if self._explained >= _HEATMAPS:
            raise RefusalError(503, f"{_HEATMAPS} heatmaps are being made; try again")
        self._explained += 1
        try:
            yield
        finally:
            self._explained -= 1

    async def _body(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(self._limits.upload_s):
                return await request.read()
        except TimeoutError:
            raise RefusalError(408, f"the request took more than {self._limits.upload_s:g} s to come") from None
        except web.RequestPayloadError as error:
            raise RefusalError(400, f"the request cannot be read: {_line(error)}") from None

    async def _decoding(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function returns in one of the decoding threads."""
        return await asyncio.get_running_loop().run_in_executor(self._decoders, function, *arguments)

    async def _predict(self, pictures: Sequence[bytes | np.ndarray]) -> np.ndarray:
        """Return predictions as they go out, `(n, k)` float32; raises RefusalError where a picture is none."""
        self._coming += 1
        try:
            tasks = [self._decoding(self._loaded, one) for one in pictures]
            # All are waited for, so that no place is free before its decoder is.
            found = await asyncio.gather(*tasks, return_exceptions=True)
            for n, one in enumerate(found):
                if isinstance(one, RefusalError) and len(pictures) > 1:
                    raise RefusalError(one.status, f"picture {n}: {one}")
                if isinstance(one, BaseException):
                    raise one
            done = self._batches.put([one for one in found if isinstance(one, Loaded)])
        finally:
            self._coming -= 1
        return Arrays.finished(await asyncio.wrap_future(done), self._clip)

    def _loaded(self, given: bytes | np.ndarray) -> Loaded:
        """Return a picture decoded; raises RefusalError for what is none, or too large."""
        loaded = self._predictor.load(Row("", (self._picture(given),)))
        if loaded.unreadable:
            raise RefusalError(400, loaded.unreadable[0][1])
        return loaded

    def _picture(self, given: bytes | np.ndarray) -> Picture:
        if isinstance(given, np.ndarray):
            self._require_small(given.shape[1], given.shape[0])
            return Picture("", lambda: given)
        return Picture("", lambda: self._decoded(given), lambda least_px: self._decoded(given, least_px))

    def _decoded(self, data: bytes, least_px: int | None = None) -> np.ndarray:
        """Return pixels; nothing is decoded before the header says how many they are."""
        if size := dimensions(data):
            self._require_small(*size)
        return decode(data, self._limits.megapixels, least_px)

    def _require_small(self, width: int, height: int) -> None:
        if width * height > self._limits.megapixels * 1e6:
            most = f"{self._limits.megapixels:g} million pixels"
            raise UnreadableImageError(f"it is {width} x {height}; at most {most} are taken")

    def _explain(self, data: bytes) -> str:
        """Return a picture's heatmap as a data URI; runs in a thread of its own."""
        pixels = self._decoded(data)
        found = occlusion.heatmap(pixels, self._p_of, is_value=self._model.kind == "regression")
        height, width = occlusion.shrunk(pixels).shape[:2]
        return data_uri(stretched(found, (height, width)), _HEAT_PX)

    def _p_of(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return the unclipped predictions of pictures, a batch at a time, so that others come in between."""
        parts = []
        for start in range(0, len(pictures), self._batches.n_rows):
            some = pictures[start : start + self._batches.n_rows]
            rows = [self._predictor.load(Row("", (Picture("", lambda one=one: one),))) for one in some]  # type: ignore[misc]
            parts.append(self._batches.put(rows).result())
        return np.concatenate(parts)


def _sender(file: str, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler that sends a file of the page."""
    text = (_HERE / file).read_text(encoding="utf-8")

    async def send(_request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=kind)

    return send


@web.middleware
async def _in_one_line(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer every mistake by the protocol's error, and tell a browser to load nothing from elsewhere."""
    try:
        response = await handler(request)
    except RefusalError as error:
        response = _failed(error.status, str(error))
        if error.status == 503:  # noqa: PLR2004  # it may have room soon
            response.headers["Retry-After"] = "1"
    except web.HTTPException as error:
        if error.status == 413:  # noqa: PLR2004  # aiohttp's text has bytes
            response = _failed(413, f"the request is larger than {request.client_max_size / 1e6:g} MB")
        else:
            response = _failed(error.status, f"{request.method} {request.path[:100]}: {error.reason}")
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
    except Exception:  # noqa: BLE001  # a mistake of ours: told as one, and others are served
        _LOG.exception("a request failed")
        response = _failed(500, "an error in the server; its log has more")
    response.headers.update(_SECURITY)
    return response


def _failed(status: int, reason: str) -> web.Response:
    return web.json_response({"error": _line(reason)}, status=status)


def _line(text: object) -> str:
    return " ".join(str(text).split())[:500]
