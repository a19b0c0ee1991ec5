"""The server's description for programs: OpenAPI 3.1, its schemas those of the messages that are read and written."""

from importlib.metadata import version
from typing import Any

from pydantic.json_schema import models_json_schema

from podium.serving.protocol import InferRequest, InferResponse

_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
_METADATA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "versions": {"type": "array", "items": {"type": "string"}},
        "platform": {"type": "string"},
        "inputs": {"type": "array", "items": {"type": "object"}},
        "outputs": {"type": "array", "items": {"type": "object"}},
        "parameters": {"type": "object", "description": "labels, and the columns of the numbers"},
    },
}
_PICTURE = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "description": "not of values"},
        "columns": {"type": "array", "items": {"type": "string"}},
        "values": {"type": "array", "items": {"type": "number"}},
        "heatmap": {"type": "string", "description": "data:image/png;base64,..., to lay over the picture"},
    },
    "required": ["columns", "values"],
}
_REASONS = {
    "400": "the request or a picture of it is wrong",
    "404": "there is no such model or version",
    "408": "the request took too long to come",
    "413": "the request is too large",
    "503": "the queue is full: try again",
}


def document(name: str) -> dict[str, Any]:
    """Return the document of a server whose model is called `name`."""
    modes: list[Any] = [(InferRequest, "validation"), (InferResponse, "serialization")]
    _, schemas = models_json_schema(modes, ref_template="#/components/schemas/{model}")
    paths: dict[str, Any] = {
        "/v2": {"get": _operation("Metadata of the server", {"type": "object"})},
        "/v2/health/live": {"get": _operation("Whether the process runs", {"type": "object"})},
        "/v2/health/ready": {"get": _operation("Whether the model can be asked", {"type": "object"})},
        "/picture": {"post": _picture()},
    }
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        given = [_parameter("name", "path", name), *([_parameter("version", "path", "1")] if "version" in path else [])]
        paths[path] = {"get": _operation("Metadata of the model", _METADATA, ["404"], given)}
        paths[f"{path}/ready"] = {
            "get": _operation("Whether the model can be asked", {"type": "object"}, ["404"], given)
        }
        paths[f"{path}/infer"] = {"post": _infer(given)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{name}, by podium",
            "version": version("podium"),
            "description": "KServe's inference protocol, version 2, and one call for a page.",
        },
        "paths": paths,
        "components": {"schemas": schemas["$defs"] | {"Error": _ERROR}},
    }


def _operation(
    summary: str, schema: dict[str, Any], failures: list[str] | None = None, parameters: list[Any] | None = None
) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses = {"200": {"description": "the answer", "content": {"application/json": {"schema": schema}}}}
    responses |= {code: {"description": _REASONS[code], "content": error} for code in failures or []}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    return operation | ({"parameters": parameters} if parameters else {})


def _parameter(name: str, place: str, example: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}, "example": example}


def _infer(given: list[Any]) -> dict[str, Any]:
    header = _parameter("Inference-Header-Content-Length", "header", "120")
    operation = _operation(
        "Label, probabilities or values of pictures",
        {"$ref": "#/components/schemas/InferResponse"},
        list(_REASONS),
        [*given, header],
    )
    operation["description"] = "With the header, raw tensors follow the JSON, as in the binary tensor data extension."
    operation["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InferRequest"}}},
    }
    return operation


def _picture() -> dict[str, Any]:
    reasons = [code for code in _REASONS if code != "404"]
    operation = _operation("One image file", _PICTURE, reasons, [_parameter("heatmap", "query", "1")])
    operation["requestBody"] = {"required": True, "content": {"image/*": {}}}
    return operation
