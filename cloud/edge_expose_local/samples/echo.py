"""Sample echo: answers its pod name and who asked, over HTTP and over UDP on the same port number.

The HTTP answer is JSON {"pod", "client", "path"}; the UDP answer is `pod client data`.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from listen import listen_address  # type: ignore[import-not-found]  # a script, run by its path

POD = os.environ.get("HOSTNAME") or socket.gethostname()


class Http(BaseHTTPRequestHandler):
    """The HTTP side."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer one request."""
        body = json.dumps({"pod": POD, "client": self.client_address[0], "path": self.path}).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log one line per request."""
        print(f"{self.client_address[0]} {format % args}", flush=True)


class Datagram(socketserver.DatagramRequestHandler):
    """The UDP side."""

    def handle(self) -> None:
        """Answer one datagram."""
        data = self.rfile.read()
        self.wfile.write(f"{POD} {self.client_address[0]} ".encode() + data)


if __name__ == "__main__":
    address = listen_address(80)
    print(f"echo listens on {address[0]}:{address[1]}", file=sys.stderr, flush=True)
    udp = socketserver.ThreadingUDPServer(address, Datagram)
    threading.Thread(target=udp.serve_forever, daemon=True).start()
    ThreadingHTTPServer(address, Http).serve_forever()
