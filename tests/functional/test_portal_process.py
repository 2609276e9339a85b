"""The portal as a process: it ends at once and without noise, whatever pages are open."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from support.waiting import eventually

HUB = "HostName=hub.invalid;SharedAccessKeyName=iothubowner;SharedAccessKey=a2V5"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_and_without_a_traceback_while_a_page_is_open(tmp_path: Path, sent: signal.Signals) -> None:
    log = tmp_path / "log"
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "IOTHUB_CONNECTION_STRING": HUB}
    command = [sys.executable, "-m", "edge_expose_cloud", "portal", "--listen", "127.0.0.1:0", "--one-time-link"]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        link = eventually(lambda: re.search(r"sign in once at (http://[^/]+)/link/(\S+)", log.read_text()))
        with httpx.Client(base_url=link[1], headers={"Origin": link[1]}, timeout=30) as client:
            eventually(lambda: client.get("/sign-in").is_success)
            assert client.post("/link", data={"token": link[2]}).status_code == 303
            with client.stream("GET", "/events?device=d1") as events:
                lines = events.iter_lines()
                assert next(lines) == "retry: 2000"
                process.send_signal(sent)
                started = time.monotonic()
                list(lines)
                process.wait(30)
        assert time.monotonic() - started < 2, "uvicorn waits that long for pages that are open"
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        process.kill()
        process.wait(10)
