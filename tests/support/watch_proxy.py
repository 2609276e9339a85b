"""A proxy before a Kubernetes API that delays watches, keeps them back, reorders them between objects and replays them.

The order of one object stays, as any API server keeps it, and nothing passes a bookmark, which stands for all before.
Everything else goes through as it is. It speaks plain HTTP on loopback, with the caller's own token.
"""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import queue
import random
import ssl
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

MODES = ("plain", "delay", "reorder", "replay", "freeze")
_TICK = 0.05
_LONGEST_DELAY = 1.5
_REMEMBERED = 40
_PASSED_ON = ("Authorization", "Accept", "Content-Type")


class WatchProxy:
    """`mode` is one of MODES, and may be changed at any time: what was kept back comes when it is."""

    def __init__(self, kubeconfig: Path, seed: int = 1) -> None:
        self.mode = "plain"
        self.told: Counter[str] = Counter()
        """How many events were told in each mode."""
        self.random = random.Random(seed)
        self._content = yaml.safe_load(kubeconfig.read_text())
        cluster = self._content["clusters"][0]["cluster"]
        self._url = urlsplit(cluster["server"])
        self._tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        self._server = _Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, name="watch-proxy", daemon=True).start()

    def write_kubeconfig(self, file: Path) -> Path:
        """The same account, by this proxy."""
        content = json.loads(json.dumps(self._content))
        content["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self._server.server_port}"}
        file.touch(mode=0o600)
        file.write_text(json.dumps(content))
        return file

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def connect(self) -> http.client.HTTPSConnection:
        assert self._url.hostname is not None
        return http.client.HTTPSConnection(self._url.hostname, self._url.port or 443, timeout=320, context=self._tls)

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        proxy = self

        class Handler(_Handler):
            owner = proxy

        return Handler


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """The caller went away in the middle."""


class _Handler(http.server.BaseHTTPRequestHandler):
    owner: WatchProxy
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
        upstream = self.owner.connect()
        try:
            upstream.request(self.command, self.path, body or None, headers)
            response = upstream.getresponse()
            if "watch=true" in self.path and response.status == 200:
                self._stream(response)
            else:
                self._answer(response.status, response.headers.get("Content-Type", ""), response.read())
        except (OSError, http.client.HTTPException):
            self.close_connection = True  # away, or the caller is
        finally:
            upstream.close()

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _pass

    def _answer(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def _stream(self, response: http.client.HTTPResponse) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        lines: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=_read, args=(response, lines), daemon=True).start()
        pending: list[tuple[float, bytes]] = []
        before: list[bytes] = []
        owner, is_open = self.owner, True
        while is_open or (pending and owner.mode != "freeze"):
            time.sleep(_TICK)
            while not lines.empty():
                line = lines.get()
                is_open = is_open and line is not None
                if line:
                    late = owner.random.uniform(0, _LONGEST_DELAY) if owner.mode == "delay" else 0.0
                    pending.append((time.monotonic() + late, line))
            mode = owner.mode
            if mode == "freeze":
                continue
            now = time.monotonic()
            # One that is late keeps all behind it back; of those that are due, some pass each other.
            due = next((n for n, (moment, _) in enumerate(pending) if moment > now), len(pending))
            events = [line for _, line in pending[:due]]
            if mode == "reorder" and is_open and len(events) < 4 and owner.random.random() < 0.8:
                continue  # more to put in another order may come
            del pending[:due]
            if mode == "reorder":
                events = shuffled(events, owner.random)
            if mode == "replay" and before and owner.random.random() < 0.1:
                events += owner.random.sample(before, min(len(before), 5))
            for line in events:
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                owner.told[mode] += 1
            self.wfile.flush()
            before = (before + [line for line in events if _key(line)])[-_REMEMBERED:]
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def log_message(self, *_: object) -> None: ...


def shuffled(lines: list[bytes], dice: random.Random) -> list[bytes]:
    """In another order between objects; those of one object, and a bookmark between all, stay in order."""
    found: list[bytes] = []
    while lines:
        end = next((n for n, line in enumerate(lines) if not _key(line)), len(lines))
        queues: dict[str, list[bytes]] = {}
        for line in lines[:end]:
            queues.setdefault(_key(line), []).append(line)
        while queues:
            key = dice.choice(sorted(queues))
            found.append(queues[key].pop(0))
            if not queues[key]:
                del queues[key]
        found += lines[end : end + 1]
        lines = lines[end + 1 :]
    return found


def _key(line: bytes) -> str:
    """Which object an event is about; empty for what is about none, such as a bookmark."""
    event: dict[str, Any] = json.loads(line)
    meta = (event.get("object") or {}).get("metadata") or {}
    return f"{meta.get('namespace', '')}/{meta['name']}" if event.get("type") != "BOOKMARK" and "name" in meta else ""


def _read(response: http.client.HTTPResponse, lines: queue.Queue[bytes | None]) -> None:
    try:
        for line in response:
            if line.strip():
                lines.put(line)
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        pass  # it was cut off
    lines.put(None)
