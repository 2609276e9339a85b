"""Network namespaces: sockets made inside one, without a helper process. Root only; None means this machine's own.

A socket stays in the namespace it was made in, so the thread enters the namespace, makes the socket and comes back.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NETNS_FOLDER: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside(namespace: str | None) -> Iterator[None]:
    """The calling thread is in the namespace for the time of the block."""
    if namespace is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        target = os.open(NETNS_FOLDER / namespace, os.O_RDONLY)
        try:
            _enter(target)
        finally:
            os.close(target)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)


def socket_in(namespace: str | None, kind: socket.SocketKind) -> socket.socket:
    """An IPv4 socket that lives in the namespace."""
    with inside(namespace):
        return socket.socket(socket.AF_INET, kind)


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
