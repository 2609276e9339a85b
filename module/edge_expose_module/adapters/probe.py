"""Asks an exposed address from where the module runs: a TCP connect, or an HTTP GET.

Of an HTTP answer only the first line counts, so no more is read. One deadline holds for all of it: a byte now and then
is no answer.
"""

from __future__ import annotations

import re
import socket
import time
from typing import Final

from edge_expose_contract.models import Exposure
from edge_expose_contract.ports import Protocol
from edge_expose_module.status.probes import ProbeResult

TIMEOUT_SECONDS: Final = 3.0
_MOST_BYTES: Final = 4096
_STATUS_LINE: Final = re.compile(rb"HTTP/[0-9]\.[0-9] ([0-9]{3})(?: [^\r\n]*)?\r?\n")
_HTTP_PORT: Final = 80


def probe(exposure: Exposure, address: str, within: float = TIMEOUT_SECONDS) -> ProbeResult:
    """The first TCP port of the exposure at `address`; `exposure.probe` is an HTTP path or `tcp`; `within` is seconds
    for the whole."""
    ports = [mapping.port for mapping in exposure.mappings if mapping.protocol is Protocol.TCP]
    now = time.time()
    if not ports:
        return ProbeResult(address, False, None, "no TCP port to ask", now)
    target = f"{address}:{ports[0]}"
    start = time.monotonic()
    deadline = start + within
    try:
        with socket.create_connection((address, ports[0]), within) as connection:
            if exposure.probe is not None and exposure.probe.startswith("/"):
                good, detail = _ask_http(connection, exposure.probe, _host(address, ports[0]), deadline)
            else:
                good, detail = True, "connected"
    except OSError as error:
        return ProbeResult(target, False, None, type(error).__name__, now)
    return ProbeResult(target, good, round((time.monotonic() - start) * 1000, 1), detail, now)


def _ask_http(connection: socket.socket, path: str, host: str, deadline: float) -> tuple[bool, str]:
    """Whether it is no server error, and what it said. Raises OSError, also when the time is over."""
    lines = (f"GET {path} HTTP/1.1", f"Host: {host}", "Accept-Encoding: identity", "Connection: close", "", "")
    connection.settimeout(_left(deadline))
    connection.sendall("\r\n".join(lines).encode("ascii"))
    answer = b""
    while b"\n" not in answer and len(answer) < _MOST_BYTES:
        connection.settimeout(_left(deadline))
        part = connection.recv(_MOST_BYTES)
        if not part:
            break
        answer += part
    found = _STATUS_LINE.match(answer)
    return (int(found[1]) < 500, f"HTTP {int(found[1])}") if found is not None else (False, "no HTTP answer")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _host(address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address else address
    return host if port == _HTTP_PORT else f"{host}:{port}"
