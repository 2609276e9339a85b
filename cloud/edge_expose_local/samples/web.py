"""Sample web server: a page that shows a greeting fetched from the database its Service name leads to.

Environment: DATABASE (host, none: the page does without), DATABASE_PORT (5432), EDGE_EXPOSE_LISTEN (host:port).
"""

from __future__ import annotations

import html
import os
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from listen import listen_address  # type: ignore[import-not-found]  # a script, run by its path
from resolve import resolve  # type: ignore[import-not-found]  # a script, run by its path

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p><p>Served by pod <code>{pod}</code>.</p></body></html>
"""


def fetch(key: str) -> str:
    """Return a value from the database; raises OSError when it cannot be reached."""
    host = resolve(os.environ["DATABASE"])
    port = int(os.environ.get("DATABASE_PORT", "5432"))
    with socket.create_connection((host, port), timeout=3.0) as connection:
        connection.sendall(f"GET {key}\n".encode())
        line = connection.makefile("rb").readline().decode().strip()
    if not line:
        raise OSError("the database closed the connection without an answer")
    return line.removeprefix("VALUE ").strip()


class Page(BaseHTTPRequestHandler):
    """Answers / and /healthz."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path == "/healthz":
            self._send(200, "text/plain", "ok\n")
            return
        database = os.environ.get("DATABASE", "")
        pod = html.escape(socket.gethostname() if "HOSTNAME" not in os.environ else os.environ["HOSTNAME"])
        if not database:
            self._page(200, "It works", "No database is configured.", pod)
            return
        try:
            greeting = fetch("greeting")
        except OSError as error:
            text = f"The database “{database}” cannot be reached: {error}."
            self._page(503, "Database not reachable", html.escape(text), pod)
            return
        self._page(200, html.escape(greeting), f"This greeting came from the database “{html.escape(database)}”.", pod)

    def _page(self, status: int, title: str, text: str, pod: str) -> None:
        self._send(status, "text/html; charset=utf-8", _PAGE.format(title=title, text=text, pod=pod))

    def _send(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log one line per request."""
        print(f"{self.client_address[0]} {format % args}", flush=True)


if __name__ == "__main__":
    address = listen_address(80)
    print(f"web listens on {address[0]}:{address[1]}", file=sys.stderr, flush=True)
    ThreadingHTTPServer(address, Page).serve_forever()
