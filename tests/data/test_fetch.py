"""Downloads from a server on this machine that can be told to misbehave."""

import hashlib
import http.server
import json
import socket
import ssl
import threading
import urllib.error

import numpy as np
import pytest

from dvdgan_lib.data import DataError, fetch
from dvdgan_lib.data.fetch import FetchError, Source, download

DATA = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves DATA; `requests` are the Range headers that came, `plan` what to do with the next ones."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.plan, self.etag, self.data, self.ranges = [], [], '"1"', DATA, True
        self.url = f"http://127.0.0.1:{self.server_port}/set.tar"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.requests.append(wanted)
        step = server.plan.pop(0) if server.plan else None
        if isinstance(step, int) and step >= 400:
            self.send_error(step)
            return
        start = int(wanted[6:-1]) if wanted and server.ranges else 0
        if self.headers.get("If-Range", server.etag) != server.etag:
            start = 0
        if start and start >= len(server.data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.data)}")
            self.end_headers()
            return
        body = server.data[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.data) - 1}/{len(server.data)}")
        if step == "page":
            self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.etag)
        self.end_headers()
        self.wfile.write(body[:100_000] if step == "cut" else body)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fetch, "WAIT", 0.001)
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def source(server):
    return Source(server.url, len(DATA), SHA256, "http://page")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once(server, source, tmp_path):
    path = download(source, tmp_path / "new" / source.file)
    assert path.read_bytes() == DATA
    assert names(path.parent) == ["set.tar"]
    server.shutdown()
    assert download(source, path) == path  # no server needed
    assert server.requests == [None]
    path.write_bytes(DATA[:9])
    with pytest.raises(FetchError, match=r"has 9 bytes where .* has 300,000: move it away"):
        download(source, path)


def test_a_transfer_that_breaks_off_goes_on_from_there(server, source, tmp_path):
    server.plan = ["cut", "cut"]
    assert download(source, tmp_path / "set.tar").read_bytes() == DATA
    assert server.requests == [None, "bytes=100000-", "bytes=200000-"]


def test_a_later_call_goes_on_and_an_outage_in_between_is_waited_out(server, source, tmp_path):
    server.plan = ["cut", *[503] * fetch.ATTEMPTS]
    with pytest.raises(
        FetchError, match=r"503 .*5 times in a row\. 100,000 bytes are kept .* goes on from there\. To do it"
    ):
        download(source, tmp_path / "set.tar")
    assert (tmp_path / "set.tar.partial").read_bytes() == DATA[:100_000]
    server.plan, server.requests = [500, 503], []
    assert download(source, tmp_path / "set.tar").read_bytes() == DATA
    assert server.requests == ["bytes=100000-"] * 3
    assert names(tmp_path) == ["set.tar"]


def test_another_version_on_the_server_is_fetched_from_its_beginning(server, tmp_path):
    (tmp_path / "set.tar.partial").write_bytes(b"old" * 1000)
    (tmp_path / "set.tar.partial.json").write_text(json.dumps({"validator": '"0"'}))
    assert download(Source(server.url), tmp_path / "set.tar").read_bytes() == DATA


def test_a_server_without_ranges_sends_all_again(server, source, tmp_path):
    server.ranges = False
    (tmp_path / "set.tar.partial").write_bytes(DATA[:5000])
    assert download(source, tmp_path / "set.tar").read_bytes() == DATA


@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_complete_partial_file_only_lacks_its_name(server, tmp_path, size):
    (tmp_path / "set.tar.partial").write_bytes(DATA)
    assert download(Source(server.url, size, SHA256), tmp_path / "set.tar").read_bytes() == DATA
    assert names(tmp_path) == ["set.tar"]


def test_a_partial_file_that_is_too_long_is_dropped(server, source, tmp_path):
    (tmp_path / "set.tar.partial").write_bytes(DATA + b"more")
    assert download(source, tmp_path / "set.tar").read_bytes() == DATA


def test_a_wrong_hash_is_refused_and_the_file_kept_aside(server, source, tmp_path):
    server.data = b"x" + DATA[1:]
    with pytest.raises(
        FetchError, match=rf"not the expected file \(sha256 .*, not {SHA256}\); it is kept as .*set.tar.wrong"
    ):
        download(source, tmp_path / "set.tar")
    assert "set.tar" not in names(tmp_path)
    assert "set.tar.partial" not in names(tmp_path)
    assert (tmp_path / "set.tar.wrong").read_bytes() == server.data
    server.data = DATA
    assert download(source, tmp_path / "set.tar").read_bytes() == DATA


def test_what_cannot_be_fetched_says_how_to_get_it(server, source, tmp_path):
    by_hand = rf"To do it by hand, fetch {server.url} \(http://page\) and save it as .*set.tar"
    server.plan = [404]
    with pytest.raises(FetchError, match=rf"answers 404 .*{by_hand}"):
        download(source, tmp_path / "set.tar")
    assert len(server.requests) == 1  # it is not there: no use in asking again
    server.plan = ["page"]
    with pytest.raises(FetchError, match="a web page where a file should be"):
        download(source, tmp_path / "set.tar")
    with pytest.raises(FetchError, match="300,000 bytes now, not 7"):
        download(Source(server.url, 7), tmp_path / "set.tar")
    assert issubclass(FetchError, DataError)


def test_no_network(monkeypatch, tmp_path):
    monkeypatch.setattr(fetch, "WAIT", 0.001)
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x.zip"
        with pytest.raises(FetchError, match=r"no connection .* 5 times in a row\. 0 bytes are kept .*by hand"):
            download(Source(url), tmp_path / "x.zip")


def test_a_bad_certificate_is_a_persons_decision(monkeypatch, tmp_path):
    refused = ssl.SSLCertVerificationError("bad")
    refused.verify_message = "unable to get local issuer certificate"

    def urlopen(*args, **kwargs):
        raise urllib.error.URLError(refused)

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    with pytest.raises(
        FetchError, match=r"certificate is not valid \(unable to .*fetch https://www.crcv.ucf.edu/.*UCF101.rar"
    ):
        fetch.fetch("ucf101", tmp_path)


def test_too_little_space_is_said_before(server, source, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(FetchError, match=r"set.tar needs 0\.0 GB more, and .* free: make room"):
        download(source, tmp_path / "set.tar")


def test_two_at_a_time_are_refused(server, source, tmp_path):
    with fetch.alone(tmp_path / "set.tar.lock", DataError()), pytest.raises(FetchError, match="Another process is fetching"):
        download(source, tmp_path / "set.tar")


def test_names(tmp_path):
    with pytest.raises(FetchError, match=r"no program here fetches them\. The Common .*k600_train_path.txt.*unpack into"):
        fetch.fetch("kinetics600", tmp_path)
    with pytest.raises(FetchError, match=r"nothing called 'hmdb'.*ucf101, .*bair.*kinetics600"):
        fetch.fetch("hmdb", tmp_path)
    for source in fetch.SOURCES.values():
        assert source.sha256 is None or len(source.sha256) == 64
