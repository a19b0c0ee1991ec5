import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from pydantic import ValidationError

from podium import plugins
from podium.errors import PodiumError
from podium.sources.url import Source

DATA = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def web(monkeypatch):
    """A server of one file: `upto` breaks off each answer, `ranges` says whether it knows ranges."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server = self.server
            asked = self.headers.get("Range")
            server.asked.append(asked)
            start = int(asked[6:-1]) if asked and server.ranges else 0
            if self.path != "/a%20b.zip?key=x":
                self.send_error(404)
            elif start >= len(DATA):
                self.send_error(416)
            else:
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(DATA) - start))
                self.end_headers()
                self.wfile.write(DATA[start:][: server.upto])

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.upto, server.ranges = [], None, True
    server.address = f"http://127.0.0.1:{server.server_port}/a%20b.zip?key=x"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "arriving"
    path.mkdir()
    return path


def source(web, **changes):
    return Source(**({"url": web.address, "sha256": hashlib.sha256(DATA).hexdigest()} | changes))


def test_the_file_has_the_last_part_of_the_address_as_its_name(web, folder):
    """Decoded, and without the query; or the name that is asked for."""
    source(web).download(folder)
    assert [path.name for path in folder.iterdir()] == ["a b.zip"]
    assert (folder / "a b.zip").read_bytes() == DATA
    source(web, file="data.zip").download(folder)
    assert [path.name for path in folder.iterdir()] == ["data.zip"]
    assert (folder / "data.zip").read_bytes() == DATA


@pytest.mark.parametrize(("ranges", "second"), [(True, "bytes=1000000-"), (False, "bytes=1000000-")])
def test_a_broken_download_is_continued(web, folder, ranges, second):
    """The second run asks for the rest; a server that sends everything again does no harm."""
    web.upto, web.ranges = 1_000_000, ranges
    with pytest.raises(PodiumError, match=r"the connection broke .*run again: what has come is kept"):
        source(web).download(folder)
    web.upto = None
    source(web).download(folder)
    assert web.asked == [None, second]
    assert (folder / "a b.zip").read_bytes() == DATA


def test_a_part_that_is_whole_already_needs_no_more_bytes(web, folder):
    """A run that was killed between the last byte and the hash."""
    (folder / "a b.zip.part").write_bytes(DATA)
    source(web).download(folder)
    assert (folder / "a b.zip").read_bytes() == DATA


def test_what_is_there_already_is_not_asked_for(web, folder):
    """Kept because it could not be unpacked; what an older address left goes."""
    (folder / "old.zip").write_bytes(b"x")
    source(web).download(folder)
    source(web).download(folder)
    assert len(web.asked) == 1
    assert [path.name for path in folder.iterdir()] == ["a b.zip"]


@pytest.mark.parametrize("part", [b"", b"of another file"])
def test_another_file_is_refused_and_removed(web, folder, part):
    """Wrong hash in the YAML, or a part of an older file on disk: the next run starts anew."""
    (folder / "a b.zip.part").write_bytes(part)
    with pytest.raises(PodiumError, match=r"source\.sha256: a b\.zip has SHA-256 .*; nothing was kept"):
        source(web, **({} if part else {"sha256": "0" * 64})).download(folder)
    assert list(folder.iterdir()) == []


def test_what_the_server_answers_is_told(web, folder):
    """The address, the number and its meaning."""
    with pytest.raises(PodiumError, match=r"source\.url: http.*/absent\.zip\?\.\.\.: the server answers 404 Not Found"):
        source(web, url=web.address.replace("a%20b", "absent")).download(folder)


def test_a_password_is_never_shown(web, folder):
    """Not by a server's refusal, nor where the address itself is no address."""
    for url in (web.address.replace("http://", "http://me:secret@"), "http://me:secret@127.0.0.1:9/a.zip?key=secret"):
        with pytest.raises(PodiumError, match=r"source\.url") as caught:
            source(web, url=url).download(folder)
        assert "secret" not in str(caught.value)
    with pytest.raises(PodiumError, match=r"source\.url") as caught:
        plugins.make("sources", "url", {"url": "me://a:secret@host/x?key=secret", "sha256": "0" * 64}, "a.yaml: source")
    assert "secret" not in str(caught.value)


def test_no_connection_at_all(web, folder):
    """A closed port stands for a machine that is offline."""
    with pytest.raises(PodiumError, match="the connection broke"):
        source(web, url="http://127.0.0.1:9/a.zip").download(folder)


@pytest.mark.parametrize(
    "change", [{"url": "file:///etc/passwd"}, {"url": "ftp://x/y"}, {"file": "../x"}, {"sha256": ""}]
)
def test_only_web_addresses_and_plain_names(web, change):
    """A competition's YAML may come from somebody else."""
    with pytest.raises(ValidationError):
        source(web, **change)
