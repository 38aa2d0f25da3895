"""Downloads end whole and checked, whatever the server does: resumed, tried again, or refused with one clear line."""

import hashlib
import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from data_prep.__main__ import main
from data_prep.errors import DataPrepError
from data_prep.fetch import fetch, reach
from data_prep.fetch.download import download
from data_prep.fetch.table import FILES, GROUPS, PublicFile

BODY = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves BODY under every path, as badly as `behavior` says."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behavior = {}
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/pub/file.gz"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        how = self.server.behavior
        number = len(self.server.requests)
        self.server.requests.append(dict(self.headers) | {"path": self.path})
        if self.path in how.get("files", {}):
            return self.answer(200, how["files"][self.path])
        if number < how.get("busy", 0):
            return self.answer(503, b"", {"Retry-After": "0"})
        if "status" in how:
            return self.answer(how["status"], b"")
        body = how.get("bodies", [BODY])[min(number, len(how.get("bodies", [BODY])) - 1)]
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        start = 0
        asked = self.headers.get("Range")
        if asked and not how.get("ignores_range") and self.headers.get("If-Range") in (None, tag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        headers = {} if how.get("no_version") else {"ETag": tag}
        if start >= len(body):
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        sent = body[start : start + how["drops_after"]] if "drops_after" in how else body[start:]
        self.answer(206 if start else 200, sent, headers, length=len(body) - start)

    def answer(self, status, body, headers=None, length=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)  # shorter than announced: the connection closes early


@pytest.fixture
def server():
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def get(server, folder, md5=MD5):
    return download(server.url, folder / "file.gz", md5, first_wait_s=0)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_in_one_go(server, tmp_path):
    facts = get(server, tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == BODY
    assert facts == {"url": server.url, "bytes": len(BODY), "md5": MD5}
    assert names(tmp_path) == ["file.gz"]


def test_dropped_connections_are_resumed_where_they_stopped(server, tmp_path):
    server.behavior = {"drops_after": 70_000}
    get(server, tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == BODY
    assert [request.get("Range") for request in server.requests] == [
        None, "bytes=70000-", "bytes=140000-", "bytes=210000-", "bytes=280000-",
    ]  # fmt: skip


def test_many_drops_are_no_failure_as_long_as_bytes_come(server, tmp_path):
    server.behavior = {"drops_after": 10_000}
    get(server, tmp_path)
    assert len(server.requests) == 30


def test_a_server_that_ignores_ranges_is_read_from_the_start(server, tmp_path):
    (tmp_path / "file.gz.part").write_bytes(BODY[:100])
    (tmp_path / "file.gz.part.json").write_text(json.dumps({"url": server.url, "version": f'"{MD5}"'}))
    server.behavior = {"ignores_range": True}
    get(server, tmp_path)
    assert server.requests[0]["Range"] == "bytes=100-"
    assert (tmp_path / "file.gz").read_bytes() == BODY


def test_a_server_that_always_stops_early_ends_with_one_clear_line_and_keeps_what_came(server, tmp_path):
    server.behavior = {"drops_after": 100_000, "ignores_range": True}
    with pytest.raises(
        DataPrepError, match=r"closed after 100,000 of 300,000 bytes \(8 times in a row; 100,000 bytes are"
    ):
        get(server, tmp_path)
    assert not (tmp_path / "file.gz").exists()
    server.behavior = {}
    get(server, tmp_path)
    assert server.requests[-1]["Range"] == "bytes=100000-"
    assert (tmp_path / "file.gz").read_bytes() == BODY


def test_two_versions_of_a_file_are_never_joined(server, tmp_path):
    older = random.Random(1).randbytes(200_000)
    server.behavior = {"bodies": [older, BODY], "drops_after": 150_000}
    get(server, tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == BODY


def test_without_a_version_nothing_is_resumed(server, tmp_path):
    (tmp_path / "file.gz.part").write_bytes(b"something else")
    server.behavior = {"no_version": True}
    get(server, tmp_path)
    assert "Range" not in server.requests[0]
    assert (tmp_path / "file.gz").read_bytes() == BODY


def test_a_part_that_was_whole_already_is_taken(server, tmp_path):
    (tmp_path / "file.gz.part").write_bytes(BODY)
    (tmp_path / "file.gz.part.json").write_text(json.dumps({"url": server.url, "version": f'"{MD5}"'}))
    get(server, tmp_path)
    assert names(tmp_path) == ["file.gz"]


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.behavior = {"busy": 3}
    get(server, tmp_path)
    assert len(server.requests) == 4


def test_a_missing_file_is_one_clear_line_at_once(server, tmp_path):
    server.behavior = {"status": 404}
    with pytest.raises(DataPrepError, match="the server answers 404 Not Found; check --release"):
        get(server, tmp_path)
    assert len(server.requests) == 1
    assert names(tmp_path) == []


def test_an_unreachable_server_is_one_clear_line(tmp_path):
    with pytest.raises(DataPrepError, match=r"Connection refused.*8 times in a row"):
        download("http://127.0.0.1:9/file.gz", tmp_path / "file.gz", "", first_wait_s=0)


def test_damage_on_the_way_is_repaired_by_a_second_download(server, tmp_path):
    server.behavior = {"bodies": [BODY[:-1] + b"?", BODY]}
    get(server, tmp_path)
    assert (tmp_path / "file.gz").read_bytes() == BODY


def test_a_wrong_checksum_is_one_clear_line_and_no_file(server, tmp_path):
    with pytest.raises(DataPrepError, match=f"md5 {MD5}, published is {'0' * 32}"):
        get(server, tmp_path, md5="0" * 32)
    assert not (tmp_path / "file.gz").exists()


PUBLIC = PublicFile(
    "https://example.org/release_{release}/file.gz", "a file", "7", md5_list="https://example.org/MD5SUMS"
)


def fetched(server, folder, release="7"):
    mirror = server.url.partition("/pub")[0]
    return fetch.fetch_file(PUBLIC.at(release), folder, mirror, first_wait_s=0)


def test_published_checksums_are_looked_up_by_file_name(server, tmp_path):
    server.behavior = {"files": {"/MD5SUMS": f"{'1' * 32} *other.gz\n{MD5}  ./file.gz\n".encode()}}
    path = fetched(server, tmp_path)
    note = json.loads((tmp_path / "file.gz.origin.json").read_text())
    assert note["checked"] == "md5 as published"
    assert fetch.origin_of(path) == {"url": server.url.replace("/pub", "/release_7"), "release": "7"}
    server.behavior["files"]["/MD5SUMS"] = b"0" * 32 + b" file.gz\n"
    with pytest.raises(DataPrepError, match="published is 000"):
        fetched(server, tmp_path / "again")


def test_a_file_that_is_there_is_not_fetched_again_and_never_taken_for_another_release(server, tmp_path):
    server.behavior = {"files": {"/MD5SUMS": b""}}
    fetched(server, tmp_path)
    before = len(server.requests)
    fetched(server, tmp_path)
    assert len(server.requests) == before
    with pytest.raises(DataPrepError, match=r"is there already, but came from .*release_7"):
        fetched(server, tmp_path, release="8")


def test_the_command_takes_names_releases_and_a_mirror(server, tmp_path, capsys):
    server.behavior = {"files": {urlsplit(FILES["gencode_gtf"].at("41").md5_list).path: b""}}
    arguments = ["--release", "41", "--out", str(tmp_path), "--mirror", server.url.partition("/pub")[0]]
    assert main(["fetch", "gencode_gtf", *arguments]) == 0
    assert names(tmp_path) == ["gencode.v41.annotation.gtf.gz", "gencode.v41.annotation.gtf.gz.origin.json"]
    assert (
        server.requests[-1]["path"] == "/pub/databases/gencode/Gencode_human/release_41/gencode.v41.annotation.gtf.gz"
    )
    assert "no md5 published" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gencode_gft"], "unknown file 'gencode_gft'; did you mean 'gencode_gtf'?"),
        ([], "give the name of a file; --list shows them"),
        (["ucsc_hg38", "--release", "39"], "ucsc_hg38 has no releases"),
        (["ucsc_hg38", "--mirror", "ftp://x"], "expected http:// or https://"),
    ],
)
def test_bad_usage_is_one_clear_line(tmp_path, capsys, arguments, message):
    assert main(["fetch", *arguments, "--out", str(tmp_path / "raw")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "raw").exists()


def test_the_table_has_every_file_of_the_recipes_and_no_unfilled_place():
    assert len(GROUPS["1000g"]) == 23
    for name, file in FILES.items():
        at = file.at(file.release)
        assert at.url.startswith("https://"), name
        assert "{" not in at.url + at.md5_list, name
        assert ("{release}" in file.url) == bool(file.release), name


def test_the_list_shows_every_name(capsys):
    assert main(["fetch", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(FILES)


def test_a_server_that_never_answers_is_one_line(monkeypatch, capsys, tmp_path):
    over = threading.Event()

    def connect(*_):
        over.wait()
        raise OSError

    monkeypatch.setattr(reach, "ALL_S", 0.01)
    monkeypatch.setattr(reach, "getproxies", dict)
    monkeypatch.setattr(reach.socket, "create_connection", connect)
    assert main(["fetch", "gencode_gtf", "--out", str(tmp_path / "raw")]) == 2
    over.set()
    error = capsys.readouterr().err
    assert error.startswith(
        "error: ftp.ebi.ac.uk cannot be reached (no answer within 0.01 s); give --mirror, or bring "
    )
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mirror", ["http://a..b/pub", "http://127.0.0.1:99999"])
def test_a_mirror_that_is_no_server_is_one_line(mirror, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(reach, "getproxies", dict)
    assert main(["fetch", "gencode_gtf", "--mirror", mirror, "--out", str(tmp_path / "raw")]) == 2
    error = capsys.readouterr().err
    assert " cannot be reached (" in error
    assert error.count("\n") == 1
