"""KServe's inference protocol, version 2, over REST: what a request asks for, and how it is answered.

Pictures come as encoded files (`image`, BYTES: base64 in JSON, or raw by the binary extension) or as pixels (`pixels`,
UINT8 RGB). https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol has the protocol.
"""

import base64
import json
import math
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from podium.serving.cells import labelled

VERSION = "1"  # of every model: an ensemble is fitted anew, and not kept beside its last
_SIDE = struct.Struct("<I")  # the length before each element of raw BYTES
_CHANNELS = 3

Name = Annotated[str, Field(max_length=200)]


class RefusalError(Exception):
    """A request that is not answered: an HTTP status and one line why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # the protocol's extensions may add any key


class InputTensor(_Message):
    """Pictures: `image`, BYTES `[n]`, each an image file; or `pixels`, UINT8 `[n, height, width, 3]` RGB."""

    name: Literal["image", "pixels"]
    shape: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(min_length=1, max_length=8)
    datatype: Literal["BYTES", "UINT8"]
    parameters: dict[str, Any] = {}
    data: list[Any] | None = Field(None, description="base64 texts, or numbers in row-major order, nested or flat")


class RequestedOutput(_Message):
    """An output that is wanted; all are, where none is named."""

    name: Name
    parameters: dict[str, Any] = {}


class InferRequest(_Message):
    """One input, whose rows are answered in their order."""

    id: Name | None = None
    parameters: dict[str, Any] = {}
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] = []


class OutputTensor(_Message):
    """`label`, BYTES `[n]`; or `probability` (of values: `value`), FP32 `[n, k]`, one column for each of `columns`."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class InferResponse(_Message):
    """The answer to an InferRequest, with its id."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


def read(body: bytes, header_length: str | None) -> tuple[InferRequest, list[bytes] | list[np.ndarray]]:
    """Return a request and its pictures, encoded or as pixels `(h, w, 3)` uint8; raises RefusalError for a wrong one.

    `header_length` is the header Inference-Header-Content-Length: the bytes of JSON, before those of raw tensors.
    """
    head, raw = _parted(body, header_length)
    if not head:
        raise RefusalError(400, "the request is empty; it takes a JSON object with `inputs`")
    try:
        request = InferRequest.model_validate_json(head)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RefusalError(400, f"{place}: {first['msg']}" if place else str(first["msg"])) from None
    tensor = request.inputs[0]
    own = _own_part(tensor, raw)
    if tensor.name == "image":
        return request, _files(tensor, own)
    return request, _pixels(tensor, own)


def _parted(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not (header_length.isascii() and header_length.isdigit() and len(header_length) < 12):  # noqa: PLR2004  # no body is 1 TB
        raise RefusalError(400, "Inference-Header-Content-Length: must be a number of bytes")
    length = int(header_length)
    if length > len(body):
        raise RefusalError(400, f"Inference-Header-Content-Length: {length}, but the body has {len(body)} bytes")
    return body[:length], body[length:]


def _own_part(tensor: InputTensor, raw: bytes) -> bytes | None:
    """Return the bytes of a raw tensor, or None where its data is in the JSON."""
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        if tensor.data is None:
            raise RefusalError(400, f"inputs.0: {tensor.name} has neither data nor binary_data_size")
        return None
    if tensor.data is not None:
        raise RefusalError(400, f"inputs.0: {tensor.name} has both data and binary_data_size")
    if type(size) is not int or size != len(raw):
        raise RefusalError(400, f"inputs.0.parameters.binary_data_size: {len(raw)} bytes follow the JSON")
    return raw


def _files(tensor: InputTensor, raw: bytes | None) -> list[bytes]:
    """Return the files of BYTES `[n]`."""
    if tensor.datatype != "BYTES":
        raise RefusalError(400, "inputs.0.datatype: image takes BYTES")
    if math.prod(tensor.shape) != tensor.shape[0]:  # (n,), or (n, 1) as some clients send it
        raise RefusalError(400, f"inputs.0.shape: image takes [n], not {tensor.shape}")
    files = _split(raw) if raw is not None else [_decoded(text) for text in _flat(tensor.data or [])]
    if len(files) != tensor.shape[0]:
        raise RefusalError(400, f"inputs.0.shape: {tensor.shape}, but there are {len(files)} images")
    return files


def _split(raw: bytes) -> list[bytes]:
    files, at = [], 0
    while at < len(raw):
        start = at + _SIDE.size
        length = _SIDE.unpack_from(raw, at)[0] if start <= len(raw) else len(raw)
        if start + length > len(raw):
            raise RefusalError(400, "inputs.0: its bytes end within an element; each has its length before it")
        files.append(raw[start : start + length])
        at = start + length
    return files


def _flat(data: list[Any]) -> list[Any]:
    """Return elements of `[n]`, or of `[n, 1]`."""
    return [one[0] if isinstance(one, list) and len(one) == 1 else one for one in data]


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise RefusalError(400, "inputs.0.data: an image must be base64 text") from None


def _pixels(tensor: InputTensor, raw: bytes | None) -> list[np.ndarray]:
    """Return the pictures of UINT8 `[n, height, width, 3]`."""
    if tensor.datatype != "UINT8":
        raise RefusalError(400, "inputs.0.datatype: pixels takes UINT8")
    shape = tuple(tensor.shape)
    if len(shape) != 4 or shape[-1] != _CHANNELS or not all(shape[1:]):  # noqa: PLR2004  # n, h, w, 3
        raise RefusalError(400, f"inputs.0.shape: pixels takes [n, height, width, 3], not {tensor.shape}")
    values = np.frombuffer(raw, np.uint8) if raw is not None else _numbers(tensor.data or [], shape)
    if values.size != math.prod(shape):
        raise RefusalError(400, f"inputs.0.shape: {tensor.shape}, but there are {values.size} numbers")
    return list(values.reshape(shape))


def _numbers(data: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Return whole numbers from 0 to 255, flat or of the shape that they claim."""
    if data and isinstance(data[0], list):
        for side in shape[1:]:
            if not all(isinstance(one, list) and len(one) == side for one in data):
                raise RefusalError(400, f"inputs.0.data: its lists are not nested as {list(shape)}")
            data = list(chain.from_iterable(data))
    # Types are looked at one by one: an array of mixed ones has the size of its longest text for each.
    if data and (set(map(type, data)) != {int} or min(data) < 0 or max(data) > 255):  # noqa: PLR2004  # 8 bits
        raise RefusalError(400, "inputs.0.data: pixels are whole numbers from 0 to 255")
    return np.array(data, np.uint8)


def outputs(kind: str, labels: Sequence[str], n: int = 0) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns of the numbers, and the metadata of the outputs."""
    header, _ = labelled(kind, labels, np.zeros((n, max(len(labels), 1)), np.float32))
    if kind == "regression":
        return header, [{"name": "value", "datatype": "FP32", "shape": [-1, len(header)]}]
    columns = header[1:]
    label = {"name": "label", "datatype": "BYTES", "shape": [-1]}
    return columns, [label, {"name": "probability", "datatype": "FP32", "shape": [-1, len(columns)]}]


INPUTS = [
    {"name": "image", "datatype": "BYTES", "shape": [-1]},
    {"name": "pixels", "datatype": "UINT8", "shape": [-1, -1, -1, _CHANNELS]},
]


def require_outputs(request: InferRequest, kind: str, labels: Sequence[str]) -> None:
    """Raise RefusalError for an output that there is not."""
    names = [one["name"] for one in outputs(kind, labels)[1]]
    if unknown := [one.name for one in request.outputs if one.name not in names]:
        raise RefusalError(400, f"outputs: no {unknown[0]!r}; choose from: {', '.join(names)}")


def answer(
    request: InferRequest, name: str, kind: str, labels: Sequence[str], p: np.ndarray
) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of the answer, of predictions `(n, k)` float32."""
    columns, about = outputs(kind, labels)
    _, lines = labelled(kind, labels, p)
    wanted = {one.name: one.parameters for one in request.outputs} or {one["name"]: {} for one in about}
    tensors, raw = [], []
    for one in about:
        if one["name"] not in wanted:
            continue
        is_label = one["name"] == "label"
        shape = [len(p)] if is_label else [len(p), len(columns)]
        parameters = {} if is_label else {"columns": json.dumps(columns, ensure_ascii=False)}
        tensor = {"name": one["name"], "datatype": one["datatype"], "shape": shape, "parameters": parameters}
        if wanted[one["name"]].get("binary_data", request.parameters.get("binary_data_output", False)) is True:
            texts = [str(line[0]).encode() for line in lines] if is_label else []
            part = b"".join(_SIDE.pack(len(text)) + text for text in texts) if is_label else p.astype("<f4").tobytes()
            raw.append(part)
            tensor["parameters"] = {**parameters, "binary_data_size": len(part)}
        else:  # a float32 as the shortest decimal that is its own
            tensor["data"] = [str(line[0]) for line in lines] if is_label else [float(str(x)) for x in p.ravel()]
        tensors.append(tensor)
    message = {"model_name": name, "model_version": VERSION, "outputs": tensors}
    if request.id is not None:
        message["id"] = request.id
    head = json.dumps(message, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json"}
    if raw:
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return head + b"".join(raw), headers
