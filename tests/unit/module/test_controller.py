"""The loop and what it keeps: nothing that fails ends it, and the report is always sent and says what failed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_expose_contract.identity import State
from edge_expose_module.adapters.state_file import StateFile
from edge_expose_module.desired.source import DesiredSource
from edge_expose_module.state.memory import Memory
from edge_expose_module.state.store import Keeper
from edge_expose_module.status.assess import Status
from support.bench import Bench, MemoryStore
from support.fake_cluster import FakeCluster
from support.fake_pools import FakePool
from support.fake_twin import FakeTwin

WISH = {"selector": ["app=w"], "ports": [80]}
DOCUMENT = {"schemaVersion": "1.0", "exposures": {"a": WISH}}
NOTHING = Status(State.PENDING)


def run_until(bench: Bench, look: Callable[[], bool]) -> None:
    """The real loop, until something is true."""

    async def go() -> None:
        bench.controller.wake_for_twin()
        running = asyncio.create_task(bench.controller.run(None))
        async with asyncio.timeout(10):
            while not look():
                await asyncio.sleep(0.01)
        bench.controller.stop()
        await running

    asyncio.run(go())


class Unforeseen(FakeCluster):
    broken = False

    def version(self) -> str:
        if self.broken:
            raise RuntimeError("secret of the cluster")
        return super().version()


def test_a_pass_that_fails_in_a_way_nobody_foresaw_is_reported_and_a_later_one_goes_on() -> None:
    cluster = Unforeseen()
    bench = Bench(cluster)
    cluster.add_pod("p", {"app": "w"})
    bench.desire({"a": WISH})
    bench.run()
    cluster.broken = True
    bench.desire({"a": WISH, "b": WISH})
    run_until(bench, lambda: bench.twin.reported["lastDesiredStatus"]["code"] == 500)
    assert bench.twin.reported["lastDesiredVersion"] == 3
    assert "RuntimeError" in bench.twin.reported["lastDesiredStatus"]["description"]
    assert "secret" not in str(bench.twin.reported)
    assert bench.exposure("a")["address"] == "10.0.0.10", "the rest is as it was seen last"
    cluster.broken = False
    bench.run()
    assert bench.twin.reported["lastDesiredStatus"]["code"] == 200
    assert bench.state("b")[0] == "Ready"


def test_a_module_whose_first_pass_fails_wipes_nothing_the_twin_knows() -> None:
    cluster = Unforeseen()
    bench = Bench(cluster, twin=FakeTwin(DOCUMENT, {"exposures": {"a": {"state": "Ready", "address": "10.0.0.12"}}}))
    cluster.broken = True
    run_until(bench, lambda: bench.twin.reported.get("lastDesiredStatus", {}).get("code") == 500)
    assert bench.exposure("a") == {"state": "Ready", "address": "10.0.0.12"}


def test_a_full_disk_stops_nothing_and_the_report_says_so_until_there_is_room() -> None:
    store = MemoryStore()
    bench = Bench(store=store)
    bench.cluster.add_pod("p", {"app": "w"})
    store.full = True
    bench.desire({"a": WISH}, unknown=1)
    bench.run()
    assert bench.state("a") == ("Ready", "10.0.0.10", None)
    trouble, warning = bench.twin.reported["warnings"]
    assert trouble == "the module's state file cannot be written: No space left on device"
    assert "unknown" in warning
    store.full = False
    bench.run(1)
    assert bench.twin.reported["warnings"] == [warning]
    bench.twin.away = True
    bench.restart()
    bench.run(1)
    assert bench.controller.result.statuses["a"].address == "10.0.0.10", "and now it is on the disk"


def test_a_state_file_that_cannot_be_written_is_said_and_written_later(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.write_text("in the way")
    store = StateFile(folder)
    assert "the module's state file cannot be written: " in store.save(Memory(version=3))
    folder.unlink()
    assert store.save(Memory(version=3)) == ""
    assert StateFile(folder).load() == Memory(version=3)


# --- reading the twin ---


@pytest.fixture
def twin() -> FakeTwin:
    return FakeTwin(DOCUMENT)


@pytest.fixture
def reader(twin: FakeTwin) -> DesiredSource:
    found = DesiredSource(twin, Keeper(MemoryStore()))
    read(found)
    return found


def read(reader: DesiredSource) -> None:
    reader.changed = True
    asyncio.run(reader.read())


def test_a_document_is_parsed_when_it_comes_and_not_at_every_pass(reader: DesiredSource) -> None:
    first = reader.document
    assert first is not None
    assert first.exposures.keys() == {"a"}
    asyncio.run(reader.read())
    assert reader.document is first


@pytest.mark.parametrize(
    ("desired", "code"),
    [
        pytest.param({"schemaVersion": "9.0", "exposures": {}}, 412, id="of a newer schema"),
        pytest.param({}, 417, id="that is empty"),
        pytest.param("text", 400, id="that is no object"),
    ],
)
def test_a_document_is_refused_and_the_last_good_one_stays(
    twin: FakeTwin, reader: DesiredSource, desired: Any, code: int
) -> None:
    good = reader.document
    twin.desired, twin.version = desired, 2
    read(reader)
    assert reader.refusal is not None
    assert reader.refusal.code.number == code
    assert (reader.document, reader.version) == (good, 2)
    twin.set_desired(DOCUMENT)
    read(reader)
    assert reader.refusal is None


def test_a_document_our_checks_trip_over_is_refused(twin: FakeTwin, reader: DesiredSource) -> None:
    good = reader.document
    twin.desired = {**DOCUMENT, "site": TripsOver()}
    twin.version += 1
    for _ in range(2):
        asyncio.run(reader.read())
        read(reader)
        assert reader.refusal is not None
        assert (reader.refusal.code.number, reader.document) == (500, good)


class TripsOver(dict[str, object]):
    """A value that no check of ours foresees."""

    def __deepcopy__(self, _: object) -> TripsOver:
        return self

    def items(self) -> object:  # type: ignore[override]
        raise OverflowError("date value out of range")


def test_while_the_twin_is_away_what_it_holds_is_not_known_and_the_document_stays(
    twin: FakeTwin, reader: DesiredSource
) -> None:
    twin.away = True
    read(reader)
    assert reader.reported is None
    assert reader.document is not None
    twin.away = False
    asyncio.run(reader.read())
    assert reader.reported == {}


def test_an_older_version_is_acted_on_when_it_is_read_twice(twin: FakeTwin, reader: DesiredSource) -> None:
    twin.version = 9
    read(reader)
    twin.desired, twin.version = {"schemaVersion": "1.0", "exposures": {}}, 4
    read(reader)
    assert reader.changed, "it is to be looked at again soon"
    assert reader.document is not None
    assert reader.document.exposures.keys() == {"a"}
    asyncio.run(reader.read())
    assert reader.version == 4
    assert not reader.document.exposures


class Hanging(FakeCluster):
    """Answers no more, as an API server behind a dead link does."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.released = threading.Event()

    def version(self) -> str:
        self.asked.set()
        self.released.wait(30)
        return super().version()


def test_a_stop_does_not_wait_for_a_pass_that_hangs() -> None:
    cluster = Hanging()
    bench = Bench(cluster)

    async def go() -> None:
        running = asyncio.create_task(bench.controller.run(None))
        await asyncio.to_thread(cluster.asked.wait, 10)
        bench.controller.stop(within=0.1)
        async with asyncio.timeout(10):
            await running
        cluster.released.set()

    asyncio.run(go())
    assert bench.controller.passes == 0


def test_an_address_that_was_refused_is_followed_by_the_next_one_although_nothing_wakes_the_loop() -> None:
    """A refusal is an Event about the Service, which no watch tells of: whoever wrote looks again soon. With a pool of
    which little is given, to wait for a touch would mean minutes of Blocked for an address that nobody wished."""
    bench = Bench()
    bench.cluster.metallb.hidden = {f"10.0.0.{number}" for number in range(10, 14)}
    bench.twin.set_desired(DOCUMENT)
    run_until(bench, lambda: bench.controller.result.statuses.get("a", NOTHING).address == "10.0.0.14")


def test_a_pool_of_which_nothing_is_given_is_exhausted() -> None:
    """Not the load balancer's word about the address that happened to be asked for last."""
    bench = Bench()
    bench.cluster.metallb.hidden = {f"10.0.0.{number}" for number in range(10, 16)}
    bench.cluster.metallb.configure({"p": FakePool.of("10.0.0.10-10.0.0.15")})
    bench.twin.set_desired(DOCUMENT)
    run_until(bench, lambda: bench.controller.result.statuses.get("a", NOTHING).reason == "PoolExhausted")
