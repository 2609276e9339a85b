"""Where a sample listens: EDGE_EXPOSE_LISTEN (host:port), else every address on its usual port."""

from __future__ import annotations

import os


def listen_address(default_port: int) -> tuple[str, int]:
    """Return host and port."""
    host, colon, port = os.environ.get("EDGE_EXPOSE_LISTEN", "").rpartition(":")
    return (host, int(port)) if colon else ("0.0.0.0", default_port)
