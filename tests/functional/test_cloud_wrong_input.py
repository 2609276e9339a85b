"""Wrong input and a hub that fails: a message of one screen, what to try, the right exit code, nothing half done."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_expose_cloud.cli import app
from support.cloud import SPEC
from support.fleet import make_devices
from support.hub import RunningHub, caller, start_hub
from support.waiting import eventually

pytestmark = pytest.mark.local
SCREEN_LINES = 24
FLEET = SPEC.replace("target: {device: d1}", "target: {condition: \"tags.site='north'\", priority: 5}").replace(
    ", address: 10.0.0.11", ""
)
CHANGED = SPEC.replace("a/web:1", "a/web:2")
EXPOSED = SPEC.replace("8080:80", "8081:80")
BIG = SPEC + "".join(
    f"  x{number}: {{module: web, type: ClusterIP, ports: [{2000 + number}]}}\n" for number in range(900)
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    hub = start_hub(tmp_path_factory.mktemp("wrong"))
    make_devices(hub, ["d1", "d2"], "north")
    yield hub
    hub.stop()


@dataclass
class Bench:
    """Runs the command line against the hub and looks at what is there before and after."""

    hub: RunningHub
    folder: Path
    overrides: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, text: str | None = None) -> Result:
        if text is not None:
            path = self.folder / "s.yaml"
            path.write_text(text)
            arguments = tuple(str(path) if item == "FILE" else item for item in arguments)
        environment = {
            "IOTHUB_CONNECTION_STRING": self.hub.connection_string.strip(),
            "EDGE_EXPOSE_HUB_CA": str(self.hub.ca),
            "EDGE_EXPOSE_RETRY_SECONDS": "0.05",
            "EDGE_EXPOSE_HUB_UNITS": "200",
            "XDG_STATE_HOME": str(self.folder / "xdg"),
            **self.overrides,
        }
        return CliRunner().invoke(app, list(arguments), env=environment)

    def world(self) -> str:
        """Everything that an apply may change, as text."""
        call = caller(self.hub)
        twins = [call("GET", path).json() for path in ("/twins/d1", "/twins/d1/modules/$edgeAgent")]
        ours = call("GET", "/twins/d1/modules/edge-expose")
        twins += [ours.json()] if ours.status_code == 200 else []
        kept = [{"tags": twin.get("tags"), "desired": twin["properties"]["desired"]} for twin in twins]
        deployments = [item["id"] for item in call("GET", "/configurations?top=100").json()]
        return json.dumps([kept, deployments], sort_keys=True)


@pytest.fixture
def bench(running: RunningHub, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(running, tmp_path)
    assert (
        made.run("apply", "FILE", "--yes", "--allow", "modules=9", "--allow", "removals=99", text=SPEC).exit_code == 0
    )
    yield made
    running.control("DELETE", "/fault")


def told(result: Result, code: int, *words: str) -> None:
    text = result.stdout + result.stderr
    assert result.exit_code == code, text
    assert len(text.splitlines()) <= SCREEN_LINES, text
    assert "Traceback" not in text
    assert "SharedAccessKey=" not in text.replace("SharedAccessKey=...", "")
    assert "try:" in text, text
    for word in words:
        assert word in text, text


@dataclass(frozen=True)
class Row:
    name: str
    code: int
    words: tuple[str, ...]
    text: str | None = SPEC
    command: tuple[str, ...] = ("apply", "FILE", "--yes", "--allow", "modules=9")
    faults: tuple[dict[str, Any], ...] = ()
    overrides: Callable[[RunningHub], dict[str, str]] = lambda hub: {}


def status(code: int, count: int = -1, **options: Any) -> dict[str, Any]:
    return {"name": "http-status", "status": code, "count": count, **options}


def wrong_key(hub: RunningHub) -> dict[str, str]:
    text = hub.connection_string.strip()
    return {"IOTHUB_CONNECTION_STRING": text[:-8] + "AAAAAAA="}


ROWS = [
    Row("a file that is not there", 2, ("nothing-here.yaml",), None, ("apply", "nothing-here.yaml")),
    Row("a file that is no YAML", 2, ("s.yaml:3",), "schemaVersion: '1.0'\nname: [\n"),
    Row("an empty file", 2, ("is empty",), ""),
    Row(
        "a field that nobody knows",
        2,
        ("restartPolice", "s.yaml:6"),
        SPEC.replace('"a/web:1"', '"a/web:1", restartPolice: x'),
    ),
    Row("a range that is none", 2, ("10.0.0.10-10.0.0.x",), SPEC.replace("10.0.0.10-10.0.0.20", "10.0.0.10-10.0.0.x")),
    Row("an address outside the range", 2, ("10.9.9.9", "outside"), SPEC.replace("10.0.0.11", "10.9.9.9")),
    Row(
        "two exposures on one port of one address",
        2,
        ("8080/tcp", "web-out"),
        SPEC + '  other: {module: web, ports: ["8080:81"], address: 10.0.0.11, share: k}\n',
    ),
    Row("a document that is too big for a twin", 2, ("32", "bytes"), BIG),
    Row(
        "a secret that is not set",
        2,
        ("NOT_SET_HERE",),
        SPEC + 'registries: {a: {address: r, username: u, password: "${env:NOT_SET_HERE}"}}\n',
    ),
    Row("no connection string", 2, ("no IoT Hub is given",), overrides=lambda hub: {"IOTHUB_CONNECTION_STRING": ""}),
    Row(
        "a connection string that is none",
        2,
        ("cannot be read",),
        overrides=lambda hub: {"IOTHUB_CONNECTION_STRING": "x"},
    ),
    Row("a key that is wrong", 1, ("401",), overrides=wrong_key),
    Row(
        "a hub that is not there",
        1,
        ("could not be reached", "refused"),
        overrides=lambda hub: {
            "IOTHUB_CONNECTION_STRING": "HostName=127.0.0.1:9;SharedAccessKeyName=a;SharedAccessKey=AAAA"
        },
    ),
    Row(
        "a CA file that is not there", 2, ("does not exist",), overrides=lambda hub: {"EDGE_EXPOSE_HUB_CA": "/nope.pem"}
    ),
    Row("a certificate that nobody trusts", 1, ("not trusted",), overrides=lambda hub: {"EDGE_EXPOSE_HUB_CA": ""}),
    Row("a device that is not registered", 1, ("ghost", "not registered"), SPEC.replace("device: d1", "device: ghost")),
    Row("401 in the middle", 1, ("401",), CHANGED, faults=(status(401, path="/devices/d1/applyConfigurationContent"),)),
    Row(
        "404 while it is applied",
        1,
        ("404",),
        CHANGED,
        faults=(status(404, path="/devices/d1/applyConfigurationContent"),),
    ),
    Row("409 on a new deployment", 1, ("409",), FLEET, faults=(status(409, path="/configurations/", method="PUT"),)),
    Row("412 on the twin", 1, ("changes all the time",), EXPOSED, faults=(status(412, method="PATCH"),)),
    Row("412 on the lease", 1, ("changed while the lease",), CHANGED, faults=(status(412, method="PATCH"),)),
    Row("429 for a minute", 1, ("429", "busy"), CHANGED, faults=(status(429),)),
    Row("429 for a minute while it is applied", 1, ("429",), CHANGED, faults=(status(429, method="POST"),)),
    Row("500 for ever on reading", 1, ("server errors",), CHANGED, faults=(status(500, method="GET"),)),
    Row("503 for ever on set modules", 1, ("503",), CHANGED, faults=(status(503, method="POST"),)),
    Row(
        "an answer that is empty",
        1,
        ("empty twin",),
        CHANGED,
        faults=({"name": "http-empty", "count": -1, "method": "GET"},),
    ),
    Row(
        "an answer that is no JSON",
        1,
        ("reading the twin",),
        CHANGED,
        faults=({"name": "http-garbage", "count": -1, "method": "GET"},),
    ),
    Row(
        "a digest that is not the plan's",
        1,
        ("the plan has changed since it was approved",),
        CHANGED,
        ("apply", "FILE", "--yes", "--expect", "deadbeef"),
    ),
    Row(
        "a removal that nobody allowed",
        1,
        ("--allow modules=1",),
        SPEC.replace('  database: {image: "a/db:1"}\n', "").replace(
            "  db: {module: database, type: ClusterIP, ports: [5432]}\n", ""
        ),
        ("apply", "FILE", "--yes"),
    ),
    Row("an option that cannot be", 2, ("--allow",), SPEC, ("apply", "FILE", "--allow", "much")),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_wrong_input(bench: Bench, row: Row) -> None:
    before = bench.world()
    bench.overrides = row.overrides(bench.hub)
    for fault in row.faults:
        bench.hub.control("POST", "/fault", fault)
    result = bench.run(*row.command, text=row.text)
    bench.hub.control("DELETE", "/fault")
    told(result, row.code, *row.words)
    assert bench.world() == before


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_hub_that_fails_for_a_moment_is_waited_for(bench: Bench, code: int) -> None:
    bench.hub.control("POST", "/fault", status(code, 2))
    bench.hub.control("POST", "/fault", status(code, 2, method="POST"))
    assert bench.run("apply", "FILE", "--yes", text=CHANGED).exit_code == 0
    assert bench.run("plan", "FILE", text=CHANGED).exit_code == 0


def test_a_write_that_was_done_and_not_answered_is_done_once(bench: Bench) -> None:
    bench.hub.control("POST", "/fault", status(503, 1, method="PATCH", after_apply=True))
    assert bench.run("apply", "FILE", "--yes", text=EXPOSED).exit_code == 0
    assert bench.run("plan", "FILE", text=EXPOSED).exit_code == 0


def test_a_hub_that_dies_under_set_modules_is_told_and_the_next_run_finishes(bench: Bench) -> None:
    before = bench.world()
    bench.hub.control(
        "POST", "/fault", {"name": "http-hang", "seconds": 20, "path": "/devices/d1/applyConfigurationContent"}
    )

    def kill_under_the_call() -> None:
        eventually(lambda: not bench.hub.control("GET", "/faults")["set"], what="the call that hangs has come")
        bench.hub.kill()

    killer = threading.Thread(target=kill_under_the_call)
    killer.start()
    result = bench.run("apply", "FILE", "--yes", text=CHANGED)
    killer.join()
    told(result, 1, "could not be reached")
    bench.hub.restart()
    after = json.loads(bench.world())
    assert after[0][1:] == json.loads(before)[0][1:], "the manifest is as it was"
    assert "edgeExposeLease" in after[0][0]["tags"], "nobody was there to give the lease back"
    # The lease is of this process, which lives: it takes its time to end, unless the holder is seen to be dead.
    refused = bench.run("apply", "FILE", "--yes", text=CHANGED)
    told(refused, 1, "is applying to d1")
    caller(bench.hub)("PATCH", "/twins/d1", {"tags": {"edgeExposeLease": {"until": "2026-01-01T00:00:00+00:00"}}})
    assert bench.run("apply", "FILE", "--yes", text=CHANGED).exit_code == 0
    assert bench.run("plan", "FILE", text=CHANGED).exit_code == 0
