"""One writer at a time for a file that the portal and its commands both rewrite."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from edge_expose_cloud.adapters.files import LocalFileError, private_folder


@contextlib.contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Read, change and write inside: without it, the later of two writers undoes what the earlier one did.

    Raises LocalFileError where nothing can be written.
    """
    try:
        private_folder(path.parent)
        handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LocalFileError(f"{path} cannot be written: {error.strerror or error}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
