"""What a terminal gets: nothing that steers it, and nothing that is cut without a word."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
from typing import Any

import pytest

from edge_expose_cloud.cli.shared import output
from edge_expose_cloud.cli.shared.output import Format, to_text, url_lines
from edge_expose_cloud.cli.shared.plan_output import plan_table
from edge_expose_cloud.plan.model import Plan, twin_change
from edge_expose_cloud.plan.port_text import folded_ports

HOSTILE = "bad\x1b[2J\x1b]0;pwned\x07\x9b31m\r\nFAKE LINE"


def printed(capsys: pytest.CaptureFixture[str], renderable: Any) -> str:
    output.out().print(renderable)
    return capsys.readouterr().out


def test_what_a_device_reports_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"state": HOSTILE, "reason": HOSTILE, "message": HOSTILE, "address": HOSTILE, "service": HOSTILE}
    shown = printed(capsys, output.exposures_table({"web": entry}, device=HOSTILE))
    shown += printed(capsys, output.escape(HOSTILE))
    assert not [character for character in shown if not character.isprintable() and character != "\n"]
    assert "\\x1b[2J" in shown
    assert not [line for line in shown.splitlines() if line.startswith("FAKE LINE")]


def test_json_carries_no_control_character_and_is_still_the_same() -> None:
    text = to_text({"message": HOSTILE}, Format.JSON)
    assert text.replace("\n", "").isprintable()
    assert json.load(io.StringIO(text)) == {"message": HOSTILE}


@pytest.mark.parametrize(
    ("ports", "shown"),
    [
        ([], ""),
        (["8080:80"], "8080:80"),
        (["8080:80", "8081:81", "8083:83"], "8080-8081:80-81, 8083:83"),
        (["5000:5000/udp", "5001:5001/udp", "5002:5002"], "5000-5001:5000-5001/udp, 5002:5002"),
        (["80→8080/tcp", "81→8080/tcp"], "80→8080/tcp, 81→8080/tcp"),
        (["http", "80:web"], "http, 80:web"),
    ],
)
def test_neighbouring_ports_are_shown_as_a_range(ports: list[str], shown: str) -> None:
    assert folded_ports(ports) == shown


def test_a_change_with_many_fields_says_how_many_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    after = {"exposures": {f"f{number}": {"ports": [number + 1]} for number in range(9)}}
    plan = Plan("device d1", (twin_change("d1", "edge-expose", {}, after),), None)
    assert "is written: exposures f0, f1, f2, f3, f4, f5, and 3 more" in printed(capsys, plan_table(plan))


def test_many_addresses_are_counted_instead_of_listed() -> None:
    entry = {"state": "Ready", "address": "10.0.0.1", "ports": [f"{number}:80" for number in range(1, 101)]}
    lines = url_lines({"web": entry})
    assert len(lines) == 9
    assert lines[-1] == "and 92 more ports"


@pytest.mark.parametrize(
    ("closed", "code", "said"),
    [
        pytest.param(">&-", 1, "standard output is closed", id="a result has nowhere to go"),
        pytest.param("2>&-", 0, "", id="talk may go nowhere"),
    ],
)
def test_a_stream_that_is_closed_is_no_mistake_of_ours(closed: str, code: int, said: str) -> None:
    command = f"exec {shlex.quote(sys.executable)} -m edge_expose_cloud schema spec {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "internal error" not in done.stderr
