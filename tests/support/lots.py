"""Loopback addresses and ports that no other test process of this machine uses, however many run at once.

A lot is the addresses 127.BLOCK.x.x and a hundred ports below those that the kernel gives out by itself. A process
claims one by the name of an abstract socket: two cannot have the same name, and the kernel takes it back when the
process ends, however that happens. A lot stays its process's until then.
"""

from __future__ import annotations

import errno
import itertools
import socket
from functools import cache
from typing import Final

_BLOCKS: Final = range(180, 250)
_PORTS: Final = range(20000, 20000 + 100 * len(_BLOCKS), 100)

_claims: list[socket.socket] = []


class Lot:
    """The addresses and ports of one claim."""

    def __init__(self, block: int, ports: range) -> None:
        self.block = block
        self._ports = itertools.cycle(ports)
        self._count = len(ports)

    @property
    def base(self) -> str:
        """First three octets of the addresses to give out."""
        return f"127.{self.block}.0"

    @property
    def pool(self) -> str:
        """Eleven of them."""
        return f"{self.base}.10-{self.base}.20"

    @property
    def service_cidr(self) -> str:
        """Cluster IPs beside them."""
        return f"127.{self.block}.128.0/17"

    def ports(self, count: int, address: str = "127.0.0.1") -> list[int]:
        """Different ports, free for TCP and UDP just now, and not given out for as long as there are others."""
        found: list[int] = []
        for port in itertools.islice(self._ports, self._count):
            if _free(address, port):
                found.append(port)
            if len(found) == count:
                return found
        raise AssertionError(f"fewer than {count} ports are free")


def claim(blocks: range = _BLOCKS) -> Lot:
    """A lot that is nobody else's."""
    for block in blocks:
        if _claimed(block):
            first = _PORTS[_BLOCKS.index(block)]
            return Lot(block, range(first, first + 100))
    raise AssertionError("every lot is taken: too many test runs at once")


@cache
def own() -> Lot:
    """The lot of this process: ports for many, addresses for one at a time."""
    return claim()


def hold(block: int) -> bool:
    """Claims the addresses 127.`block` that are written down somewhere, such as in a guide; False: others have them."""
    return _claimed(block)


def _claimed(block: int) -> bool:
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0edge-expose-tests-127.{block}")
    except OSError as error:
        name.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    _claims.append(name)
    return True


def _free(address: str, port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True
