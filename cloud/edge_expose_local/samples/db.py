"""Sample database: keys and values over a line protocol on TCP.

`GET key` answers `VALUE text` or `NONE`; `SET key text` answers `OK`; anything else `ERROR why`.
"""

from __future__ import annotations

import socketserver
import sys
import threading

from listen import listen_address  # type: ignore[import-not-found]  # a script, run by its path

_VALUES = {"greeting": "Hello from the database"}
_LOCK = threading.Lock()
_MAX_LINE = 65_536


def answer(line: str) -> str:
    """Return the answer to one line."""
    word, _, rest = line.strip().partition(" ")
    key, _, value = rest.partition(" ")
    match word.upper():
        case "GET" if key:
            with _LOCK:
                return f"VALUE {_VALUES[key]}" if key in _VALUES else "NONE"
        case "SET" if key:
            with _LOCK:
                _VALUES[key] = value
            return "OK"
    return "ERROR expected GET key or SET key value"


class Lines(socketserver.StreamRequestHandler):
    """One client."""

    def handle(self) -> None:
        """Answer lines until the client is gone."""
        while line := self.rfile.readline(_MAX_LINE):
            self.wfile.write(answer(line.decode(errors="replace")).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    """Many clients at once."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    address = listen_address(5432)
    print(f"db listens on {address[0]}:{address[1]}", file=sys.stderr, flush=True)
    Server(address, Lines).serve_forever()
