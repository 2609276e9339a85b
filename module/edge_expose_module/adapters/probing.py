"""Asks an exposed address from where the module runs: a TCP connect, or an HTTP GET."""

from __future__ import annotations

import http.client
import socket
import time

from edge_expose_contract.models import Exposure
from edge_expose_contract.ports import Protocol
from edge_expose_module.probes import ProbeResult

TIMEOUT_SECONDS = 3.0


def probe(exposure: Exposure, address: str) -> ProbeResult:
    """The first TCP port of the exposure at `address`; `exposure.probe` is an HTTP path or `tcp`."""
    ports = [mapping.port for mapping in exposure.mappings if mapping.protocol is Protocol.TCP]
    now = time.time()
    if not ports:
        return ProbeResult(address, False, None, "no TCP port to ask", now)
    host, port = address, ports[0]
    target = f"{host}:{port}"
    start = time.perf_counter()
    try:
        if exposure.probe is not None and exposure.probe.startswith("/"):
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
            try:
                connection.request("GET", exposure.probe)
                status = connection.getresponse().status
            finally:
                connection.close()
            good, detail = status < 500, f"HTTP {status}"
        else:
            with socket.create_connection((host, port), TIMEOUT_SECONDS):
                good, detail = True, "connected"
    except (OSError, http.client.HTTPException) as error:
        return ProbeResult(target, False, None, type(error).__name__, now)
    return ProbeResult(target, good, round((time.perf_counter() - start) * 1000, 1), detail, now)
