"""Fetching original files, from a server on this machine."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from llmxrec.datasets.download import ARCHIVES, Archive, download, fetch
from llmxrec.errors import InputError, WorkError


def packed(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


GOOD = packed(**{"small/": "", "small/u.data": "1\t2\n" * 50_000, "small/deep/er.txt": "x"})


class Server:
    """Serves `bodies`, by path; `cut` is how many of a body's last bytes never come."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.cut = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = server.bodies.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) - server.cut])

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/files/"

    def offer(self, body: bytes, name: str = "small.zip") -> Archive:
        self.bodies[f"/files/{name}"] = body
        return Archive(self.url, name, hashlib.md5(body, usedforsecurity=False).hexdigest(), 1 << 20)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = Server()
    thread = threading.Thread(target=served.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.http.shutdown()
    served.http.server_close()
    thread.join()


def nothing_is_left(folder: Path) -> bool:
    return not folder.exists() and list(folder.parent.iterdir()) == []


def test_a_good_archive_becomes_the_folder(server: Server, tmp_path: Path) -> None:
    archive = server.offer(GOOD)
    folder = fetch(archive, tmp_path / "data" / "small")
    assert folder == tmp_path / "data" / "small"
    assert (folder / "u.data").read_text() == "1\t2\n" * 50_000
    assert sorted(path.name for path in folder.rglob("*")) == ["deep", "er.txt", "u.data"]
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


def test_an_archive_without_a_folder_at_its_top(server: Server, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()  # an empty folder may be there
    fetch(server.offer(packed(a="1", b="2")), tmp_path / "small")
    assert sorted(path.name for path in (tmp_path / "small").iterdir()) == ["a", "b"]


def test_an_archive_is_known_by_its_published_checksum(server: Server, tmp_path: Path) -> None:
    assert ARCHIVES["ml-100k"].md5 == "0e33842e24a9c977be4e0107933c0723"
    server.offer(GOOD, "ml-100k.zip")
    with pytest.raises(WorkError, match=r"ml-100k.zip: its MD5 is \w+, not the published 0e33842e24a9c977be4e01"):
        download("ml-100k", tmp_path / "ml-100k", base_url=server.url)
    assert nothing_is_left(tmp_path / "ml-100k")


def test_a_body_cut_short(server: Server, tmp_path: Path) -> None:
    archive = server.offer(GOOD)
    server.cut = 10
    with pytest.raises(WorkError, match=rf"the line broke after {len(GOOD) - 10:,} of {len(GOOD):,} bytes; try again"):
        fetch(archive, tmp_path / "small")
    assert nothing_is_left(tmp_path / "small")


def test_a_file_that_is_not_there(server: Server, tmp_path: Path) -> None:
    archive = replace(server.offer(GOOD), name="gone.zip")
    with pytest.raises(WorkError, match=r"files/gone.zip: the server answered 404"):
        fetch(archive, tmp_path / "small")
    assert nothing_is_left(tmp_path / "small")


def test_a_server_that_is_not_there(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="cannot be reached"):
        fetch(server.offer(GOOD), tmp_path / "small", base_url="http://127.0.0.1:9")
    assert nothing_is_left(tmp_path / "small")


@pytest.mark.parametrize("name", ["../evil.txt", "small/../../evil.txt", "/evil.txt", "c:/evil.txt", "..\\evil.txt"])
def test_a_member_that_would_lie_outside(server: Server, tmp_path: Path, name: str) -> None:
    archive = server.offer(packed(**{"small/fine.txt": "x", name: "evil"}))
    with pytest.raises(WorkError, match="which lies outside; nothing was kept"):
        fetch(archive, tmp_path / "in" / "small")
    assert nothing_is_left(tmp_path / "in" / "small")
    assert [path.name for path in tmp_path.rglob("*")] == ["in"]


def test_too_many_bytes(server: Server, tmp_path: Path) -> None:
    archive = server.offer(packed(a="0" * 5_000_000))  # a few kB that unpack to more than allowed
    with pytest.raises(WorkError, match="unpacks to more than 1,048,576 bytes"):
        fetch(archive, tmp_path / "small")
    with pytest.raises(WorkError, match="more than 100 bytes came"):
        fetch(replace(archive, most_bytes=100), tmp_path / "small")
    assert nothing_is_left(tmp_path / "small")


@pytest.mark.parametrize("body", [b"no archive", GOOD[:-30], b""])
def test_what_is_no_archive(server: Server, tmp_path: Path, body: bytes) -> None:
    with pytest.raises(WorkError, match="is no ZIP archive"):
        fetch(server.offer(body), tmp_path / "small")
    assert nothing_is_left(tmp_path / "small")


def test_a_folder_that_holds_something_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(InputError, match="a download goes to a new or empty folder; choose another"):
            fetch(server.offer(GOOD), folder)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_what_has_to_be_fetched_by_hand(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'mind' cannot be downloaded from here; get MINDsmall_train.zip at https"):
        download("mind", tmp_path / "mind")
    with pytest.raises(InputError, match="unknown dataset 'ml100k'; did you mean 'ml-100k'"):
        download("ml100k", tmp_path / "x")
    with pytest.raises(InputError, match="an address begins with https:// or http://"):
        download("ml-100k", tmp_path / "x", base_url="file:///etc")
