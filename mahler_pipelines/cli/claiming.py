"""One program at a time works a book: the claim of `mahler dev`, `run` and `exchange`."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mahler_pipelines.errors import MahlerError
from mahler_pipelines.storage.books import BookPaths


class BookInUse(MahlerError):
    """Another program works this book."""


@contextmanager
def claimed(paths: BookPaths, program: str) -> Iterator[None]:
    """Claim a book for the block; the operating system ends the claim of a killed program.

    The file lies beside the book's folder, so that it stays when a run replaces the book. Raises
    `BookInUse` with the name and process id of the program that has the book.
    """
    path = paths.root.with_name(f"{paths.book}.claim")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another program"
            raise BookInUse(
                f"{paths.book} is in use by {holder}: stop that first, or choose another --home"
            ) from None
        file.truncate(0)
        file.write(f"{program} (process {os.getpid()})\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
