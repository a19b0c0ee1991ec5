"""Pictures and what leaves them copies; a local server that speaks as much of Kaggle's API as its client needs here."""

import hashlib
import json
import os
import re
import shutil
import threading
from collections import deque
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --hide-scrollbars"
)
TESTS = Path(__file__).parent
PIPELINE = TESTS / "pipeline"
# File -> the tests that take a second of a core and more, or as a family many, by a regular expression; the others of
# the file say the same in less, so `make test-fast` leaves these out.
SLOW = {
    "analysis/report/test_charts.py": r".*\[multi|test_many_classes",
    "analysis/test_leaks.py": (
        r"test_a_twin_.*\[(?!same file|rot90\])|test_a_train_picture_.*\[(?!same)|test_out_of_fold_.*\[(?!knn-2)"
        r"|test_(metadata_that_tells|a_sorted_list|clean_metadata)_.*(multi|regr)|test_a_shifted_.*\[(?!0)"
    ),
    "analysis/test_significance.py": r"test_a_rare_class",
    "commands/test_compare.py": r"(?!test_a_better|test_nothing)",
    "commands/test_explain.py": r"test_the_evidence",
    "commands/test_leaks.py": r"(?!test_clean_data)",
    "commands/test_new.py": r"test_a_draft_leads_.*\[(?!cifar)|test_guesses_have|test_a_competition_of|test_masks_in",
    "commands/test_tune.py": r"(?!test_what_cannot)",
    "contracts/test_heads.py": r".*\[(kernel_ridge-0-(?!binary)|\w+-1-|\w+-0-multi)",
    "ensembles/test_ensembles.py": r"test_weights_that_fit_noise|.*\[stack-multi",
    "examples/test_classic_examples.py": r"test_logistic_regression|test_the_race",
    "fitting/test_choose_method.py": r"test_both_scores",
    "sources/test_generated.py": r"test_arithmetic|test_the_same_seed",
    "sources/test_npm.py": r"test_a_version_that|test_without_a_network",
    "sources/test_pypi.py": r"test_a_version_that|test_without_a_network",
    "splits/test_folds.py": r"test_equally_rare|test_stratified_folds_differ",
    "stages/test_ensemble.py": r"test_train_rows_get",
    "stages/test_extract.py": r"test_a_cached_backbone|test_pixels_of_a_reduced",
    "stages/test_fit_and_fuse.py": r"test_forward_selection",
    "stages/test_report.py": r"(?!test_the_page_holds)",
    "stages/test_tables.py": r"test_iris|test_linear_regression",
    "storage/test_archives.py": r"test_what_unpacks_to_far_more_.*\[data\.(7z|tar\.)",
    "test_cli.py": r"test_stages_load_no_tensorflow\[(?!prepare)|test_a_reader_that_hangs_up",
    "test_docs.py": r"test_the_site_builds",
}
KERAS = {"training/test_data.py": r"test_a_batch_is_rgb|test_batches_can"}
MARKS = ((SLOW, pytest.mark.slow), (KERAS, pytest.mark.keras))


def pytest_collection_modifyitems(items):
    """Mark what runs DVC or a browser, and what the tables name.

    One worker runs all of a module that loads Keras: its tests share networks.
    """
    for item in items:
        for table, mark in MARKS:
            pattern = table.get(item.path.relative_to(TESTS).as_posix())
            if pattern is not None and re.match(pattern, item.name):
                item.add_marker(mark)
        if item.path.is_relative_to(PIPELINE):
            item.add_marker(pytest.mark.dvc)
        if "browser" in item.fixturenames:
            item.add_marker(pytest.mark.browser)
        if item.get_closest_marker("keras") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


@cache
def _photo(seed, px=96):
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.normal(size=(n, n, 3)), (px, px), interpolation=cv2.INTER_CUBIC) / n for n in (3, 6, 12, 24)
    ]
    total = np.sum(layers, axis=0)
    return ((total - total.min()) / np.ptp(total) * 255).astype(np.uint8)


@pytest.fixture(scope="session")
def photo():
    """Return the function of a seed that makes a picture with a photograph's spectrum: large shapes, less detail."""
    return _photo


def _jpeg(image, quality):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def _resized(image, width, height):
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


COPIES = {
    "same file": lambda i: i,
    "same pixels": lambda i: i,
    "jpeg 90": lambda i: _jpeg(i, 90),
    "jpeg 60": lambda i: _jpeg(i, 60),
    "half": lambda i: _resized(i, 48, 48),
    "double": lambda i: cv2.resize(i, None, fx=2, fy=2),
    "squashed": lambda i: _resized(i, 96, 64),
    "brighter": lambda i: np.clip(i.astype(int) + 20, 0, 255).astype(np.uint8),
    "darker": lambda i: (i * 0.7).astype(np.uint8),
    "contrast": lambda i: np.clip((i - 128.0) * 1.2 + 128, 0, 255).astype(np.uint8),
    "gamma": lambda i: (255 * (i / 255) ** 0.8).astype(np.uint8),
    "noise": lambda i: np.clip(i + np.random.default_rng(0).normal(0, 5, i.shape), 0, 255).astype(np.uint8),
    "blurred": lambda i: cv2.GaussianBlur(i, (3, 3), 0),
    "gray": lambda i: np.repeat(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2),
    "hflip": lambda i: i[:, ::-1],
    "vflip": lambda i: i[::-1],
    "rot90": np.rot90,
    "rot180": lambda i: np.rot90(i, 2),
    "rot270": lambda i: np.rot90(i, 3),
    "transposed": lambda i: i.transpose(1, 0, 2),
    "hflip and jpeg": lambda i: _jpeg(np.ascontiguousarray(i[:, ::-1]), 80),
    "rot90 and half": lambda i: _resized(np.ascontiguousarray(np.rot90(i)), 48, 48),
    "rot180 and darker": lambda i: (np.rot90(i, 2) * 0.8).astype(np.uint8),
}


@pytest.fixture(params=COPIES)
def copy(request):
    """Return a way to copy a picture, by name, and the function that does it."""
    return request.param, lambda image: np.ascontiguousarray(COPIES[request.param](image))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser that writes down its console and every request."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        reason = "needs Chromium: apt-get install chromium chromium-driver"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    session = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield session
    session.quit()


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """The server, with the real client led to it, logged in, and not waiting between its attempts."""
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "kaggle"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_USERNAME", "somebody")
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
    from kaggle.api import kaggle_api_extended as client
    from kagglesdk import kaggle_env

    server = KaggleServer()
    # The client takes these from the environment when it is imported, which may have been before.
    monkeypatch.setattr(client.KaggleApi, "args", ["--local"])
    monkeypatch.setattr(client.KaggleApi, "config_dir", str(tmp_path / "kaggle"))
    monkeypatch.setattr(client.KaggleApi, "config", str(tmp_path / "kaggle/kaggle.json"))
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, server.address)
    monkeypatch.setattr(client.time, "sleep", server.waits.append)
    yield server
    server.close()


class KaggleServer(ThreadingHTTPServer):
    """Holds one competition, `toy`; `failures` are taken in turn by the requests that match them."""

    def __init__(self):
        super().__init__(("localhost", 0), _Handler)
        self.address = f"http://localhost:{self.server_port}"
        self.data = b""  # of the competition's zip
        self.waits = []  # seconds that the client would have slept
        self.requests = []  # (path, body of a POST or headers of a GET)
        self.failures = deque()  # (how the path ends, function of the handler)
        self.uploaded = b""
        self.submissions = []
        self.blobs = {}  # name of a file -> bytes
        self.dataset = None  # the last request that created or versioned it
        self.dataset_status, self.kernel_status = "READY", "COMPLETE"
        self.kernels = []  # requests that saved a kernel
        self.limits = {"numToday": 1, "numTotal": 4, "numAllowedNow": 4}
        # It looks for the end of the test once every 10 ms: by default that costs half a second a test.
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        """Stay silent: a client that hangs up is what some tests are about."""

    def fail(self, path, how):
        """Let the next request whose path ends in `path` be answered by `how(handler)`."""
        self.failures.append((path, how))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Stay silent."""

    def reply(self, status, content=b"", **headers):
        self.send_response(status)
        for name, value in {"Content_Length": len(content), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)

    def reply_json(self, content, status=200):
        self.reply(status, json.dumps(content).encode(), Content_Type="application/json")

    def reply_data(self, upto=None):
        """Send the zip, or the part of it that is asked for; `upto` hangs up after so many bytes."""
        data = self.server.data
        etag = hashlib.md5(data).hexdigest()
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.headers.get("If-Range") in (None, etag) else 0
        about = {"Accept_Ranges": "bytes", "ETag": etag, "Last_Modified": "Sat, 01 Jan 2022 00:00:00 GMT"}
        if upto is None:
            self.reply(206 if start else 200, data[start:], **about)
        else:
            self.reply(206 if start else 200, data[start:][:upto], **about, Content_Length=len(data) - start)
            self.close_connection = True
            self.connection.close()

    def failed(self):
        failures = self.server.failures
        if failures and self.path.endswith(failures[0][0]):
            failures.popleft()[1](self)
            return True
        return False

    def do_GET(self):
        self.server.requests.append((self.path, dict(self.headers)))
        if not self.failed():
            self.reply_data()

    def do_PUT(self):
        self.server.uploaded = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.blobs[self.path.rpartition("/")[2]] = self.server.uploaded
        if not self.failed():
            self.reply(200)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, body))
        if self.failed():
            return
        method = self.path.rpartition("/")[2]
        if body.get("competitionName") == "toy" or method in _OF_NO_COMPETITION:
            _ANSWERS[method](self, body)
        else:
            self.reply_json({"code": 404, "message": "Competition not found"}, 404)


def _download(handler, _body):
    handler.reply(302, Location=f"{handler.server.address}/storage/toy.zip?signature=x")


def _limits(handler, _body):
    handler.reply_json(handler.server.limits)


def _start_upload(handler, _body):
    handler.reply_json({"token": "token", "createUrl": f"{handler.server.address}/upload"})


def _submit(handler, body):
    submissions = handler.server.submissions
    submissions.append(
        {"ref": 100 + len(submissions), "description": body["submissionDescription"], "status": "PENDING"}
    )
    handler.reply_json({"message": "Successfully submitted", "ref": submissions[-1]["ref"]})


def _list_submissions(handler, _body):
    handler.reply_json({"submissions": handler.server.submissions[::-1]})


def _start_blob(handler, body):
    handler.reply_json({"token": body["name"], "createUrl": f"{handler.server.address}/blobs/{body['name']}"})


def _dataset_status(handler, _body):
    if handler.server.dataset is None:
        handler.reply_json({"code": 404, "message": "Dataset not found"}, 404)
    else:
        handler.reply_json({"status": handler.server.dataset_status})


def _save_dataset(handler, body):
    handler.server.dataset = body
    handler.reply_json({"ref": "somebody/podium-toy", "status": "ok"})


def _save_kernel(handler, body):
    handler.server.kernels.append(body)
    handler.reply_json({"ref": body["slug"], "versionNumber": len(handler.server.kernels)})


def _kernel_status(handler, _body):
    handler.reply_json({"status": handler.server.kernel_status, "failureMessage": "out of memory"})


_OF_NO_COMPETITION = {
    "StartBlobUpload",
    "GetDatasetStatus",
    "CreateDataset",
    "CreateDatasetVersion",
    "SaveKernel",
    "GetKernelSessionStatus",
}
_ANSWERS = {
    "StartBlobUpload": _start_blob,
    "GetDatasetStatus": _dataset_status,
    "CreateDataset": _save_dataset,
    "CreateDatasetVersion": _save_dataset,
    "SaveKernel": _save_kernel,
    "GetKernelSessionStatus": _kernel_status,
    "CreateCodeSubmission": _submit,
    "DownloadDataFiles": _download,
    "GetSubmissionLimits": _limits,
    "StartSubmissionUpload": _start_upload,
    "CreateSubmission": _submit,
    "ListSubmissions": _list_submissions,
}
