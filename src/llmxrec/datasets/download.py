"""Fetch the original archive of a dataset, where its publisher lets anyone do so and a checksum is known."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from llmxrec.errors import InputError, WorkError
from llmxrec.lookup import closest
from llmxrec.progress import progress

_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Archive:
    """A ZIP archive: where it lies, its MD5 as published, and the most bytes it may have, packed and unpacked."""

    base_url: str
    name: str
    md5: str
    most_bytes: int


ARCHIVES = {
    "ml-100k": Archive(
        "https://files.grouplens.org/datasets/movielens", "ml-100k.zip", "0e33842e24a9c977be4e0107933c0723", 1 << 26
    ),
}

BY_HAND = {
    "mind": "get MINDsmall_train.zip at https://msnews.github.io, accept its licence, and unpack it",
    "steam": "get steam_games.json.gz and steam_reviews.json.gz at https://cseweb.ucsd.edu/~jmcauley/datasets.html",
    "recbole": "get a dataset in RecBole's format at https://recbole.io/dataset_list.html, and unpack it",
    "demo": "it comes with the library",
}


def download(kind: str, folder: Path, base_url: str | None = None) -> Path:
    """Fetch the original files of dataset `kind` into `folder`, which is new or empty, and return it.

    The archive is checked against its published checksum before it is unpacked, and `folder` appears whole or not at
    all. Raises InputError for a dataset that has to be fetched by hand and for a folder that holds something,
    WorkError where the files cannot be had. `base_url` is another place that has the same archive.
    """
    if kind in BY_HAND:
        raise InputError(f"'{kind}' cannot be downloaded from here", cure=BY_HAND[kind])
    if kind not in ARCHIVES:
        raise closest("dataset", kind, [*ARCHIVES, *BY_HAND])
    return fetch(ARCHIVES[kind], folder, base_url)


def fetch(archive: Archive, folder: Path, base_url: str | None = None) -> Path:
    """As `download`, for any archive. The one folder at its top, if it has one, becomes `folder`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("a download goes to a new or empty folder", file=folder, cure="choose another, or delete it")
    url = f"{(base_url or archive.base_url).rstrip('/')}/{archive.name}"
    if not url.startswith(("https://", "http://")):
        raise InputError("an address begins with https:// or http://", value=url)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as draft:
            packed, unpacked = Path(draft, archive.name), Path(draft, "unpacked")
            _save(url, archive, packed)
            _unpack(packed, unpacked, archive.most_bytes)
            top = list(unpacked.iterdir())
            whole = top[0] if len(top) == 1 and top[0].is_dir() else unpacked
            whole.replace(folder)
    except OSError as error:
        raise WorkError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return folder


def _save(url: str, archive: Archive, file: Path) -> None:
    """Write what lies at `url` to `file`. Raises WorkError where it cannot be had or is something else."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as reply, file.open("wb") as out:  # noqa: S310 - see fetch
            length = reply.length or 0
            with progress(f"downloading {archive.name}", length or None, "bytes") as advance:
                received = 0
                while chunk := reply.read(_CHUNK_BYTES):
                    received += len(chunk)
                    if received > archive.most_bytes:
                        raise WorkError(f"{url}: more than {archive.most_bytes:,} bytes came; this is another file")
                    digest.update(chunk)
                    out.write(chunk)
                    advance(len(chunk))
    except urllib.error.HTTPError as error:
        raise WorkError(f"{url}: the server answered {error.code} {error.reason}") from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
        raise WorkError(f"{url}: cannot be reached: {getattr(error, 'reason', error)}") from error
    if length > received:
        raise WorkError(f"{url}: the line broke after {received:,} of {length:,} bytes; try again")
    if digest.hexdigest() != archive.md5:
        raise WorkError(f"{url}: its MD5 is {digest.hexdigest()}, not the published {archive.md5}; nothing was kept")


def _unpack(packed: Path, folder: Path, most_bytes: int) -> None:
    """Write the files of a ZIP archive below `folder`. Raises WorkError for one that would lie elsewhere."""
    folder.mkdir()
    try:
        with zipfile.ZipFile(packed) as archive:
            members = archive.infolist()
            for member in members:
                path = PurePosixPath(member.filename)
                if path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in member.filename:
                    raise WorkError(f"{packed.name}: holds {member.filename!r}, which lies outside; nothing was kept")
            if sum(member.file_size for member in members) > most_bytes:
                raise WorkError(f"{packed.name}: unpacks to more than {most_bytes:,} bytes; nothing was kept")
            for member in members:
                target = folder / member.filename
                if member.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise WorkError(f"{packed.name}: is no ZIP archive that can be unpacked: {error}") from error
