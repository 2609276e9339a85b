"""Direct methods: every answer fits what the hub carries, and says what it left out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from edge_expose_contract.models import Exposure
from edge_expose_module.methods import Methods
from edge_expose_module.status.pass_result import PassResult
from edge_expose_module.status.probes import ProbeResult
from support.bench import Bench
from support.fake_cluster import FakeCluster

MOST = 128 * 1024


def answers(exposure: Exposure, address: str) -> ProbeResult:
    return ProbeResult(address, True, 1.0, "connected", 0.0)


def ask(
    bench: Bench,
    method: str,
    payload: Any = None,
    probe: Callable[[Exposure, str], ProbeResult] = answers,
    log: list[str] | None = None,
) -> tuple[int, dict[str, Any]]:
    methods = Methods(bench.controller, probe, lambda: log or [])
    return asyncio.run(methods.handle(method, payload))


@pytest.fixture(scope="module")
def crowded() -> Bench:
    """350 exposures with names as long as can be and much to say of each."""
    bench = Bench(FakeCluster("10.0.0.1-10.0.0.100"))
    selector = [f"key-{n}={'v' * 60}" for n in range(4)]
    bench.desire({f"e{n:03}{'x' * 45}": {"selector": selector, "ports": [80]} for n in range(350)})
    bench.run(2)
    return bench


def test_status_has_what_had_no_room_in_the_twin_and_fits_an_answer(crowded: Bench) -> None:
    status, found = ask(crowded, "status")
    assert status == 200
    assert len(json.dumps(found)) <= MOST
    assert len(found["exposures"]) == 350
    assert all("since" not in entry for entry in crowded.twin.reported["exposures"].values())
    assert all("since" in entry for entry in found["exposures"].values())


def test_explain_of_all_counts_those_it_has_no_room_for(crowded: Bench) -> None:
    status, found = ask(crowded, "explain")
    assert status == 200
    assert MOST * 0.85 < len(json.dumps(found)) <= MOST
    assert found["more"] == 350 - len(found["exposures"]) > 0
    last = max(crowded.controller.result.statuses)
    assert ask(crowded, "explain", {"exposure": last})[1]["exposures"].keys() == {last}, "one by one, all are told"


def test_the_support_bundle_keeps_the_newest_lines_and_fits(crowded: Bench) -> None:
    lines = [f"{number} {'y' * 20000}" for number in range(200)]
    status, found = ask(crowded, "supportBundle", log=lines)
    assert status == 200
    assert len(json.dumps(found)) <= MOST
    assert found["log"][-1].startswith("199 ")
    assert found["more"]["log"] == 200 - len(found["log"]) > 0
    assert len(found["services"]) + found["more"]["services"] == len(crowded.cluster.services)
    assert found["report"]["summary"] == crowded.twin.reported["summary"]


def test_an_exposure_that_vanishes_while_others_are_asked_is_no_error() -> None:
    bench = Bench()
    bench.cluster.add_pod("p", {"app": "w"})
    bench.desire({name: {"selector": ["app=w"], "ports": [80]} for name in "ab"})
    bench.run()

    def meanwhile(exposure: Exposure, address: str) -> ProbeResult:
        bench.controller.result = PassResult()
        return answers(exposure, address)

    status, found = ask(bench, "probe", probe=meanwhile)
    assert status == 200
    assert {name: result["ok"] for name, result in found["probes"].items()} == {"a": True, "b": True}


def test_a_probe_of_what_has_no_address_says_so() -> None:
    bench = Bench()
    bench.desire({"a": {"selector": ["app=w"], "ports": [80], "type": "ClusterIP"}})
    bench.run()
    assert ask(bench, "probe") == (200, {"probes": {"a": {"ok": False, "detail": "no external address"}}})
