"""`podium serve`: the protocol's answers are the ensemble's own, and what is wrong is told and never a 500."""

import asyncio
import base64
import gzip
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from aiohttp import web

from podium.cli import main
from podium.commands import serve
from podium.contracts.scores import Scores
from podium.paths import ensemble
from podium.serving import protocol
from podium.serving.protocol import InferResponse
from podium.serving.runtime import Row, of_bytes
from podium.serving.server import Limits, application

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("serving")]  # one worker makes the competition once
INFER = "/v2/models/toy/infer"


@contextmanager
def listening(model, **limits):
    """Serve in a thread; yields the port."""
    loop, runner = (
        asyncio.new_event_loop(),
        web.AppRunner(application(model, Limits(**limits)), access_log=None, shutdown_timeout=5),
    )

    async def start():
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner.addresses[0][1]

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def ask(port, method, path, body=None, headers=None):
    """Return status, JSON (or the bytes) and headers."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    client.request(method, path, body, headers or {})
    answer = client.getresponse()
    content = answer.read()
    client.close()
    kind = answer.headers.get_content_type()
    return answer.status, json.loads(content) if kind == "application/json" else content, answer.headers


@pytest.fixture(scope="module")
def model(exported):
    return serve.exported(exported)


@pytest.fixture(scope="module")
def port(model):
    with listening(model, queue=24, megabytes=2, megapixels=1) as port:
        yield port


@pytest.fixture(scope="module")
def pictures(model, picture):
    """A few image files, with what the ensemble says of each."""
    files = [cv2.imencode(".png", picture(seed)[..., ::-1])[1].tobytes() for seed in range(200, 220)]
    rows = [Row(str(n), (of_bytes(str(n), lambda one=one: one),)) for n, one in enumerate(files)]
    (found,) = model.predictor.run(rows)
    return SimpleNamespace(files=files, pixels=[picture(seed) for seed in range(200, 220)], p=found.p)


def in_json(files, **more):
    data = [base64.b64encode(one).decode() for one in files]
    return {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [len(data)], "data": data}], **more}


def tensor(**changes):
    whole = {"name": "pixels", "datatype": "UINT8", "shape": [1, 1, 2, 3], "data": [1, 2, 3, 4, 5, 6]}
    return json.dumps({"inputs": [{**whole, **changes}]})


def served(answer, name="probability"):
    (found,) = [one for one in answer["outputs"] if one["name"] == name]
    return np.array(found["data"], np.float32).reshape(found["shape"])


def test_health_and_metadata(port):
    """As KServe's protocol has them, with and without a version."""
    assert ask(port, "GET", "/v2/health/live")[:2] == (200, {"live": True})
    assert ask(port, "GET", "/v2/health/ready")[:2] == (200, {"ready": True})
    assert ask(port, "GET", "/v2")[1]["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/models/toy", "/v2/models/toy/versions/1"):
        assert ask(port, "GET", f"{path}/ready")[:2] == (200, {"name": "toy", "ready": True})
        about = ask(port, "GET", path)[1]
        assert about["parameters"] == {"labels": ["0", "1"], "columns": ["1"]}
        assert [one["name"] for one in about["inputs"]] == ["image", "pixels"]
        assert [one["name"] for one in about["outputs"]] == ["label", "probability"]


def test_every_way_to_send_a_picture_gets_the_ensembles_own_numbers(port, pictures):
    """Base64 in JSON, raw bytes, pixels in JSON and raw: to the bit, in the request's order, with its id."""
    files, pixels = pictures.files[:3], pictures.pixels[:3]
    status, answer, _ = ask(port, "POST", INFER, json.dumps(in_json(files, id="seven")))
    assert (status, answer["id"], answer["model_name"]) == (200, "seven", "toy")
    np.testing.assert_array_equal(served(answer), pictures.p[:3])
    (label,) = [one["data"] for one in answer["outputs"] if one["name"] == "label"]
    assert label == [str(int(p >= 0.5)) for p in pictures.p[:3, 0]]
    InferResponse.model_validate(answer)

    raw = b"".join(struct.pack("<I", len(one)) + one for one in files)
    head = {"name": "image", "datatype": "BYTES", "shape": [3, 1], "parameters": {"binary_data_size": len(raw)}}
    wanted = [{"name": "probability", "parameters": {"binary_data": True}}]
    text = json.dumps({"inputs": [head], "outputs": wanted}).encode()
    status, content, headers = ask(port, "POST", INFER, text + raw, {"Inference-Header-Content-Length": len(text)})
    assert status == 200
    at = int(headers["Inference-Header-Content-Length"])
    (only,) = json.loads(content[:at])["outputs"]
    assert only["parameters"]["binary_data_size"] == 12
    np.testing.assert_array_equal(np.frombuffer(content[at:], "<f4"), pictures.p[:3, 0])

    for n, one in enumerate(pixels):
        for data in (one.tolist(), one.ravel().tolist()):
            answer = ask(port, "POST", INFER, tensor(shape=[1, *one.shape], data=[data] if len(data) < 99 else data))[1]
            np.testing.assert_array_equal(served(answer), pictures.p[n : n + 1])


def test_concurrent_requests_get_their_own_answers(port, pictures):
    """Whatever batches they share: in twenty threads, each its own pictures over and over."""

    def client(n):
        body = json.dumps(in_json([pictures.files[n]]))
        return [ask(port, "POST", INFER, body) for _ in range(5)]

    with ThreadPoolExecutor(20) as pool:
        for n, answers in enumerate(pool.map(client, range(20))):
            assert [status for status, *_ in answers] == [200] * 5
            for _, answer, _ in answers:
                np.testing.assert_array_equal(served(answer), pictures.p[n : n + 1])


def png_of(width, height):
    """A PNG whose header claims a size that its data does not have."""
    header = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + crc


NOT_BASE64 = {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["?"]}]}
BAD = {
    "nothing": ("", 400, "the request is empty"),
    "no JSON": ("hello", 400, "Invalid JSON"),
    "deep": ("[" * 100_000, 400, "recursion limit"),
    "a list": ("[]", 400, "should be an object"),
    "no input": ('{"inputs": []}', 400, "inputs: List should have at least 1 item"),
    "no picture": (json.dumps(in_json([])), 400, "a request of 0 pictures; it takes 1 to 24"),
    "too many": (json.dumps(in_json([b"x"] * 25)), 400, "a request of 25 pictures; it takes 1 to 24"),
    "text": (json.dumps(in_json([b"<html>not found</html>"])), 400, "it is text (a web page or a message?), no image"),
    "cut short": (json.dumps(in_json([b"\x89PNG\r\n\x1a\n"])), 400, "it is damaged or cut short"),
    "an empty file": (json.dumps(in_json([b""])), 400, "the file is empty"),
    "one of two": (json.dumps(in_json([b"", b""])), 400, "picture 0: the file is empty"),
    "20,000 px": (json.dumps(in_json([png_of(20_000, 20_000)])), 400, "it is 20000 x 20000; at most 1 million pixels"),
    "no base64": (json.dumps(NOT_BASE64), 400, "an image must be base64 text"),
    "shape": (tensor(shape=[1, 2, 2, 3]), 400, "inputs.0.shape: [1, 2, 2, 3], but there are 6 numbers"),
    "gray": (tensor(shape=[1, 2, 3]), 400, "pixels takes [n, height, width, 3], not [1, 2, 3]"),
    "negative": (tensor(shape=[-1, 1, 2, 3]), 400, "inputs.0.shape.0: Input should be greater than or equal to 0"),
    "ragged": (tensor(data=[[[[1, 2, 3], [4, 5]]]]), 400, "its lists are not nested as [1, 1, 2, 3]"),
    "mixed": (tensor(data=["x", 2, 3, 4, 5, 6]), 400, "pixels are whole numbers from 0 to 255"),
    "256": (tensor(data=[256, 2, 3, 4, 5, 6]), 400, "pixels are whole numbers from 0 to 255"),
    "half": (tensor(data=[0.5, 2, 3, 4, 5, 6]), 400, "pixels are whole numbers from 0 to 255"),
    "floats": (tensor(datatype="FP32"), 400, "datatype: Input should be 'BYTES' or 'UINT8'"),
    "other type": (tensor(datatype="BYTES"), 400, "pixels takes UINT8"),
    "other name": (tensor(name="photo"), 400, "inputs.0.name: Input should be 'image' or 'pixels'"),
    "large tensor": (tensor(shape=[1, 1, 2_000_000, 3]), 400, "but there are 6 numbers"),
    "output": (json.dumps(in_json([b"x"], outputs=[{"name": "logits"}])), 400, "no 'logits'; choose from: label, prob"),
    "raw": (tensor(data=None, parameters={"binary_data_size": 9}), 400, "0 bytes follow the JSON"),
    "too large": (b"x" * 2_000_001, 413, "the request is larger than 2 MB"),
    "a bomb": (gzip.compress(b"x" * 20_000_000), 413, "the request is larger than 2 MB"),
    "damaged gzip": (b"oops", 400, "the request cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_request_gets_the_protocols_error(port, name):
    """One line in JSON that says what is wrong; never a 500."""
    body, status, message = BAD[name]
    headers = {"Content-Encoding": "gzip"} if name in {"a bomb", "damaged gzip"} else {}
    found, answer, kind = ask(port, "POST", INFER, body, headers)
    assert (found, kind.get_content_type()) == (status, "application/json"), answer
    assert message in answer["error"]
    assert "\n" not in answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "message"),
    [
        ("POST", "/v2/models/dogs/infer", {}, 404, "no model 'dogs'; there is 'toy'"),
        ("GET", "/v2/models/toy/versions/2", {}, 404, "toy has no version '2'; there is '1'"),
        ("GET", "/v3", {}, 404, "GET /v3: Not Found"),
        ("GET", INFER, {}, 405, "Method Not Allowed"),
        ("GET", "/%ff%00../../etc/passwd", {}, 404, "Not Found"),
        ("POST", INFER, {"Inference-Header-Content-Length": "-1"}, 400, "must be a number of bytes"),
        ("POST", INFER, {"Inference-Header-Content-Length": "9"}, 400, "9, but the body has 2 bytes"),
        ("POST", "/picture?heatmap=yes", {}, 400, "heatmap: must be 0 or 1"),
        ("POST", "/picture", {}, 400, "it is text"),
    ],
)
def test_a_wrong_address_or_header_gets_it_too(port, method, path, headers, status, message):
    """With the status that HTTP has for it."""
    found, answer, _ = ask(port, method, path, b"{}" if method == "POST" else None, headers)
    assert (found, message in answer["error"]) == (status, True), answer


def test_a_full_queue_says_so_and_a_slow_client_does_not_hold_it(model, pictures):
    """503 while others hold every place, and an answer once they are gone; an upload that does not come gets a 408."""
    body = json.dumps(in_json(pictures.files[:1])).encode()
    with listening(model, queue=2, upload_s=1.5) as port:
        slow = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(2)]
        for one in slow:
            one.sendall(f"POST {INFER} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        slow[0].sendall(body[:-1])
        for _ in range(100):  # until both have been seen
            if (found := ask(port, "POST", INFER, body))[0] != 200:
                break
        assert (found[0], found[2]["Retry-After"]) == (503, "1")
        assert found[1]["error"] == "the queue of 2 is full; try again"
        slow[0].sendall(body[-1:])
        assert b"200 OK" in slow[0].recv(100)
        assert b"408 Request Timeout" in slow[1].recv(100)
        for _ in range(3):  # both places are free again
            assert ask(port, "POST", INFER, json.dumps(in_json(pictures.files[:2])))[0] == 200
        for one in slow:
            one.close()


WRITES = []
sys.addaudithook(
    lambda event, arguments: (
        WRITES.append(arguments)
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else None
    )
)


def test_no_request_opens_a_file_for_writing(port, pictures):
    """Not of its own bytes, nor a temporary one: Python is asked at each opening."""
    WRITES.clear()
    ask(port, "POST", INFER, json.dumps(in_json(pictures.files)))
    ask(port, "POST", "/picture?heatmap=1", pictures.files[0])
    ask(port, "POST", INFER, b"x" * 2_000_001)
    ask(port, "POST", "/picture", b"<html>", {"Content-Type": "multipart/form-data; boundary=x"})
    assert [one for one in WRITES if one[0] != os.devnull] == []


def test_the_heatmap_is_a_picture_of_the_pictures_shape(port, pictures):
    """Beside the same numbers as without it."""
    plain = ask(port, "POST", "/picture", pictures.files[4])[1]
    assert plain["columns"] == ["1"]
    assert np.float32(plain["values"][0]) == pictures.p[4, 0]
    answer = ask(port, "POST", "/picture?heatmap=1", pictures.files[4])[1]
    data = base64.b64decode(answer.pop("heatmap").removeprefix("data:image/png;base64,"))
    assert answer == plain
    rgba = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert rgba.shape == (*pictures.pixels[4].shape[:2], 4)
    assert rgba[..., 3].max() > 200


@pytest.mark.parametrize(
    ("kind", "labels", "p", "label", "columns"),
    [
        ("binary", ("no", "yes"), [[0.7], [0.2]], ["yes", "no"], ["yes"]),
        ("multiclass", ("a", "b"), [[0.7, 0.3], [0.1, 0.9]], ["a", "b"], ["a", "b"]),
        ("multilabel", ("a", "b"), [[0.7, 0.6], [0.1, 0.2]], ["a b", ""], ["a", "b"]),
        ("regression", (), [[3.5], [-1.0]], None, ["y"]),
    ],
)
def test_outputs_of_each_kind_of_task(kind, labels, p, label, columns):
    """A label and probabilities, or a value."""
    request = protocol.read(tensor().encode(), None)[0]
    answer = json.loads(protocol.answer(request, "m", kind, labels, np.array(p, np.float32))[0])
    found = {one["name"]: one for one in answer["outputs"]}
    assert found.get("label", {}).get("data") == label
    numbers = found["value" if kind == "regression" else "probability"]
    assert json.loads(numbers["parameters"]["columns"]) == columns
    assert numbers["data"] == np.ravel(p).tolist()


def test_openapi_names_every_route_and_nothing_else(port, model):
    """Its references lead somewhere."""
    document = ask(port, "GET", "/openapi.json")[1]
    app = application(model)
    served = {
        (route.resource.canonical, route.method.lower()) for route in app.router.routes() if route.method != "HEAD"
    }
    page = {("/", "get"), ("/page.js", "get"), ("/page.css", "get"), ("/openapi.json", "get")}
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert described == served - page
    text = json.dumps(document)
    for name in set(text.split('"#/components/schemas/')[1:]):
        assert name.partition('"')[0] in document["components"]["schemas"]


def test_the_stages_own_models_are_served_too(at_home):
    """Without a folder: a test row gets the number of the ensemble's table."""
    test = Scores.read(ensemble("toy")).of_split("test")
    with listening(serve.fitted()) as port:
        for row_id, p in list(zip(test.row_id, test.p, strict=True))[:3]:
            data = (at_home.root / f"incoming/images/{row_id}.png").read_bytes()
            np.testing.assert_array_equal(served(ask(port, "POST", INFER, json.dumps(in_json([data])))[1])[0], p)


def test_the_command_answers_what_has_come_before_it_ends(exported, pictures, tmp_path):
    """SIGTERM in the middle of a request: the answer is whole, the exit code 0, and no traceback is told."""
    command = [sys.executable, "-m", "podium.cli", "serve", str(exported), "--port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = process.stdout.readline()
    assert said.startswith("toy: http://127.0.0.1:"), process.stderr.read()
    body = json.dumps(in_json(pictures.files)).encode()
    with socket.create_connection(("127.0.0.1", int(said.split(":")[3].split()[0])), timeout=60) as client:
        head = f"POST {INFER} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body[:-1])
        time.sleep(0.3)  # it waits for the rest
        process.send_signal(signal.SIGTERM)
        client.sendall(body[-1:])
        content = b""
        while part := client.recv(1 << 16):
            content += part
    head, _, answer = content.partition(b"\r\n\r\n")
    assert b"200 OK" in head
    np.testing.assert_array_equal(served(json.loads(answer)), pictures.p)
    assert process.wait(30) == 0
    assert process.stderr.read() == ""


def test_mistakes_at_the_start_are_told_in_one_line(exported, tmp_path, capsys):
    """A port in use, a folder that is no export, or one whose files were changed; before a model is loaded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        used = str(taken.getsockname()[1])
        assert main(["serve", str(exported), "--port", used]) == 2
    assert (
        capsys.readouterr().err == f"podium: --port: cannot listen on 127.0.0.1, port {used}: Address already in use\n"
    )
    shutil.copytree(exported, tmp_path / "copy")
    with (tmp_path / "copy/networks/lite/1/model.bin").open("r+b") as file:
        file.write(b"oops")
    for words, message in (
        ([str(tmp_path / "copy")], "model.bin: not the file that the manifest names"),
        ([str(tmp_path)], "not the manifest of an exported model"),
        ([str(exported), "--queue", "0"], "--queue: must be more than 0, not 0"),
        ([str(exported), "--port", "99999"], "cannot listen on 127.0.0.1, port 99999"),
    ):
        assert main(["serve", *words, *([] if "--port" in words else ["--port", "0"])]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1


def test_a_person_drops_a_picture_and_sees_label_numbers_and_heatmap(port, pictures, browser, tmp_path):
    """In a real browser, whose console stays empty; a file that is no picture is told on the page."""
    from selenium.webdriver.support.ui import WebDriverWait

    (tmp_path / "cell.png").write_bytes(pictures.files[2])
    (tmp_path / "fake.jpg").write_text("no image")
    browser.get(f"http://127.0.0.1:{port}/")
    WebDriverWait(browser, 20).until(lambda page: page.title == "toy, by podium")
    browser.find_element("id", "file").send_keys(str(tmp_path / "cell.png"))
    WebDriverWait(browser, 60).until(lambda page: page.find_element("id", "heat").is_displayed())
    p = pictures.p[2, 0]
    assert browser.find_element("id", "said").text == str(int(p >= 0.5))
    assert browser.find_element("id", "numbers").text == f"1 {p:.4f}"
    shape = "return ['picture', 'heat'].map(id => { const one = document.getElementById(id);"
    shape += " return [one.naturalWidth, one.naturalHeight, one.clientWidth, one.clientHeight] })"
    seen, heat = browser.execute_script(shape)
    assert seen == heat
    assert seen[:2] == [pictures.pixels[2].shape[1], pictures.pixels[2].shape[0]]
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []

    browser.find_element("id", "file").send_keys(str(tmp_path / "fake.jpg"))
    said = browser.find_element("id", "said")
    WebDriverWait(browser, 20).until(lambda _page: "wrong" in said.get_attribute("class"))
    assert "no image" in said.text
    assert not browser.find_element("id", "heat").is_displayed()
