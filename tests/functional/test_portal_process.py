"""The portal as a process: it ends at once and without noise, whatever pages are open."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx
import pytest

from support.portal import portal
from support.waiting import eventually


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_and_without_a_traceback_while_a_page_is_open(tmp_path: Path, sent: signal.Signals) -> None:
    with portal(tmp_path) as running:
        with httpx.Client(base_url=running.url, headers={"Origin": running.url}, timeout=30) as client:
            eventually(lambda: client.get("/sign-in").is_success)
            assert client.post("/link", data={"token": running.link}).status_code == 303
            with client.stream("GET", "/events?device=d1") as events:
                lines = events.iter_lines()
                assert next(lines) == "retry: 2000"
                running.child.send_signal(sent)
                started = time.monotonic()
                list(lines)
                running.child.wait(30)
        assert time.monotonic() - started < 2, "uvicorn waits that long for pages that are open"
        assert "Traceback" not in running.log.read_text(), running.log.read_text()
