"""Whole files under a root, written so that a reader sees the old content or the new.

A folder writes a temporary file beside the target, syncs it and renames it over. An object store
puts the object in one request, which is atomic there; other remote filesystems get the temporary
file and a move.
"""

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mahler_pipelines.errors import LakeError

TEMPORARY_SUFFIX = ".tmp"
_WHOLE_OBJECT_PUTS = {"memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci"}


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file below a root: its path relative to it with forward slashes, and its size."""

    path: str
    size: int


class Files(Protocol):
    """Whole files by relative path. Failures are `LakeError`; an absent file is `None`."""

    root: str

    def location(self, path: str) -> str:
        """Where a file is, for messages and links."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Replace a file atomically."""
        ...

    def read(self, path: str) -> bytes | None:
        """The content, or None when there is no such file."""
        ...

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        ...

    def find(
        self, folder: str, *, enter: Callable[[str], bool] = lambda _: True
    ) -> tuple[FoundFile, ...]:
        """Every finished file below a folder, sorted by path.

        Folders whose name `enter` refuses are not looked into.
        """
        ...

    def remove_temporary(self, *, older_than_seconds: float) -> int:
        """Remove what killed writers left behind; return how many files went."""
        ...


def open_files(root: str | Path) -> Files:
    """Open a local folder or, for a URL such as s3://bucket/lake, a filesystem of fsspec."""
    text = str(root)
    if text.startswith("file://"):
        return LocalFiles(Path(text.removeprefix("file://")))
    return RemoteFiles(text) if "://" in text else LocalFiles(Path(root))


class LocalFiles:
    """Files in a local folder."""

    def __init__(self, root: Path) -> None:
        self._folder = root.absolute()
        self.root = str(self._folder)

    def location(self, path: str) -> str:
        """Return the absolute path."""
        return str(self._folder / path)

    def write(self, path: str, content: bytes) -> None:
        """Replace a file atomically; the old one stays when anything fails."""
        target = self._folder / path
        temporary = target.with_name(_temporary_name(target.name))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException as error:
            with suppress(OSError):
                temporary.unlink()
            if isinstance(error, OSError):
                raise _lake_error("write", str(target), len(content), error) from error
            raise

    def read(self, path: str) -> bytes | None:
        """Return the content, or None when there is no such file."""
        try:
            return (self._folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _lake_error("read", self.location(path), 0, error) from error

    def exists(self, path: str) -> bool:
        """Return whether the file is there."""
        return (self._folder / path).is_file()

    def find(
        self, folder: str, *, enter: Callable[[str], bool] = lambda _: True
    ) -> tuple[FoundFile, ...]:
        """Return every finished file below a folder, sorted by path."""
        top = self._folder / folder
        found = (
            FoundFile(Path(entry.path).relative_to(self._folder).as_posix(), entry.stat().st_size)
            for entry in _entries(str(top), enter)
            if not _is_temporary(entry.name)
        )
        return tuple(sorted(found, key=lambda file: file.path))

    def remove_temporary(self, *, older_than_seconds: float) -> int:
        """Remove temporary files that nobody has touched for a while."""
        oldest_kept = time.time() - older_than_seconds
        removed = 0
        for entry in _entries(self.root, lambda _: True):
            if _is_temporary(entry.name) and entry.stat().st_mtime < oldest_kept:
                Path(entry.path).unlink(missing_ok=True)
                removed += 1
        return removed


class RemoteFiles:
    """Files behind a URL, through fsspec."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        # Other processes write too: a cached listing would hide their files.
        self._fs, self._prefix = url_to_fs(url, use_listings_cache=False)
        self.root = url.rstrip("/")
        protocol = self._fs.protocol
        names = {protocol} if isinstance(protocol, str) else set(protocol)
        self._single_put = bool(names & _WHOLE_OBJECT_PUTS)

    def location(self, path: str) -> str:
        """Return the URL."""
        return f"{self.root}/{path}"

    def write(self, path: str, content: bytes) -> None:
        """Put the object whole, or move a temporary file over the old one."""
        target = self._full(path)
        try:
            if self._single_put:
                self._fs.pipe_file(target, content)
                return
            folder, _, name = target.rpartition("/")
            self._fs.makedirs(folder, exist_ok=True)
            temporary = f"{folder}/{_temporary_name(name)}"
            self._fs.pipe_file(temporary, content)
            self._fs.mv(temporary, target)
        except OSError as error:
            raise _lake_error("write", self.location(path), len(content), error) from error

    def read(self, path: str) -> bytes | None:
        """Return the content, or None when there is no such file."""
        try:
            content: bytes = self._fs.cat_file(self._full(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _lake_error("read", self.location(path), 0, error) from error
        return content

    def exists(self, path: str) -> bool:
        """Return whether the file is there."""
        return bool(self._fs.isfile(self._full(path)))

    def find(
        self, folder: str, *, enter: Callable[[str], bool] = lambda _: True
    ) -> tuple[FoundFile, ...]:
        """Return every finished file below a folder, sorted by path."""
        return tuple(
            FoundFile(path, int(info["size"]))
            for path, info in self._listing(folder)
            if not _is_temporary(path.rpartition("/")[2])
            and all(enter(name) for name in path.removeprefix(f"{folder}/").split("/")[:-1])
        )

    def remove_temporary(self, *, older_than_seconds: float) -> int:
        """Remove temporary files; an object store has none."""
        oldest_kept = time.time() - older_than_seconds
        removed = 0
        for path, _ in self._listing(""):
            full = self._full(path)
            if _is_temporary(path.rpartition("/")[2]) and (
                self._fs.modified(full).timestamp() < oldest_kept
            ):
                self._fs.rm_file(full)
                removed += 1
        return removed

    def _full(self, path: str) -> str:
        return f"{self._prefix}/{path}" if path else str(self._prefix)

    def _listing(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        try:
            found = self._fs.find(self._full(folder), detail=True)
        except FileNotFoundError:
            return []
        start = f"{self._prefix}/"
        return sorted((str(path).removeprefix(start), info) for path, info in found.items())


def _temporary_name(name: str) -> str:
    return f".{name}.{os.getpid()}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(TEMPORARY_SUFFIX)


def _entries(folder: str, enter: Callable[[str], bool]) -> Iterator["os.DirEntry[str]"]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if not entry.is_dir():
            yield entry
        elif enter(entry.name):
            yield from _entries(entry.path, enter)


def _lake_error(verb: str, location: str, size: int, error: OSError) -> LakeError:
    if error.errno == errno.ENOSPC:
        return LakeError(
            f"no space left on the device for {size} bytes of {location}; "
            "what was stored there before is intact"
        )
    return LakeError(f"cannot {verb} {location}: {error}")
