import base64
import hashlib
import io
import json
import shutil
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import ValidationError

from podium.errors import PodiumError
from podium.sources.npm import Source

pytestmark = pytest.mark.slow

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


def tarball():
    """Return a package of one data file whose install script would do harm."""
    file = io.BytesIO()
    manifest = {"name": "some-data", "version": "1.0.0", "scripts": {"prepack": "touch harm", "install": "touch harm"}}
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in (("package.json", json.dumps(manifest).encode()), ("labels.json", b"[1]")):
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


DATA = tarball()
INTEGRITY = "sha512-" + base64.b64encode(hashlib.sha512(DATA).digest()).decode()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A local registry that knows one package, and the npm settings that lead to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            address = f"http://127.0.0.1:{self.server.server_port}/some-data.tgz"
            dist = {"tarball": address, "integrity": INTEGRITY}
            version = {"name": "some-data", "version": "1.0.0", "dist": dist}
            packument = {"name": "some-data", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
            known = {"/some-data": json.dumps(packument).encode(), "/some-data.tgz": DATA}
            self.send_response(200 if self.path in known else 404)
            self.end_headers()
            self.wfile.write(known.get(self.path, b"{}"))

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    yield server
    server.shutdown()


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "raw"
    path.mkdir()
    return path


def source(**changes):
    return Source(**({"package": "some-data", "version": "1.0.0", "integrity": INTEGRITY} | changes))


@needs_npm
def test_the_tarball_stays_whole_and_runs_nothing(registry, folder):
    """Byte for byte what the registry holds."""
    source().download(folder)
    assert [path.name for path in folder.iterdir()] == ["some-data-1.0.0.tgz"]
    assert (folder / "some-data-1.0.0.tgz").read_bytes() == DATA


@needs_npm
def test_another_integrity_is_refused(registry, folder):
    """The message names both."""
    other = "sha512-" + "A" * 86 + "=="
    with pytest.raises(PodiumError, match=r"source\.integrity: some-data-1\.0\.0\.tgz has sha512-.*, not sha512-A"):
        source(integrity=other).download(folder)


@needs_npm
def test_a_version_that_does_not_exist_is_npms_to_explain(registry, folder):
    """One line, of npm's own words."""
    with pytest.raises(
        PodiumError, match=r"^source: npm could not download some-data@9\.9\.9: No matching version"
    ) as error:
        source(version="9.9.9").download(folder)
    assert "\n" not in str(error.value)


@needs_npm
def test_without_a_network_the_message_says_so(registry, folder, monkeypatch):
    """A closed port stands for a machine that is offline."""
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(PodiumError, match="no connection to the registry"):
        source().download(folder)


def test_without_npm_the_message_says_what_to_install(folder, monkeypatch):
    """One line instead of a traceback."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PodiumError, match=r"source\.kind: npm is not installed here; install Node\.js"):
        source().download(folder)


@pytest.mark.parametrize("package", ["--help", "a b", "", "../x", "@scope"])
def test_a_name_can_be_no_option_of_npm(package):
    """What comes from a YAML is never a command line."""
    with pytest.raises(ValidationError):
        source(package=package)
