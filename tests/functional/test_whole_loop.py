"""The whole loop on real processes: spec -> hub -> module -> cluster -> an address that answers, and what shakes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.local import Local, garbage, http_get
from support.testbed_binaries import kubectl
from support.waiting import eventually

pytestmark = pytest.mark.local
ECHO = {"image": "edge-expose/echo:1"}
needs_kubectl = pytest.mark.skipif(kubectl() is None, reason="there is no kubectl: install one, or run `make testbed`")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    instance = Local(tmp_path_factory.mktemp("loop"))
    yield instance
    instance.stop()


@pytest.fixture
def deployed(local: Local) -> Local:
    """The two-tier app, Ready; every test starts from it."""
    local.instance.clear_faults()
    local.instance.set_pool(f"{local.address(10)}-{local.address(20)}")
    local.deploy(
        {
            "web": {"module": "webserver", "ports": ["8080:80"], "address": local.address(15)},
            "db": {"module": "database", "type": "ClusterIP", "ports": [5432]},
        },
        {
            "webserver": {"image": "edge-expose/sample-web:1", "env": {"DATABASE": "db"}},
            "database": {"image": "edge-expose/sample-db:1"},
        },
    )
    local.wait_for("web", "Ready", local.address(15))
    local.wait_for("db", "Ready")
    return local


def web(local: Local) -> str:
    return http_get(f"http://{local.address(15)}:8080/")


def test_a_front_end_reached_from_outside_fetches_from_its_back_end_by_name(deployed: Local) -> None:
    assert "Hello from the database" in eventually(lambda: web(deployed))


@needs_kubectl
def test_a_namespace_that_is_deleted_comes_back_with_all_that_was_exposed(deployed: Local) -> None:
    eventually(lambda: web(deployed))
    deployed.kubectl("delete", "namespace", "edge1", "--wait=true")
    deployed.wait_for("web", "Ready", deployed.address(15))
    assert "Hello from the database" in eventually(lambda: web(deployed), what="the app answers again")
    assert deployed.kubectl("-n", "edge1", "get", "service", "web", "-o", "name") == "service/web\n"


@pytest.mark.parametrize("part", ["hub", "module", "cluster", "runtime"])
def test_a_part_that_is_killed_comes_back_and_no_address_moves(deployed: Local, part: str) -> None:
    eventually(lambda: web(deployed))
    old = deployed.kill(part)
    deployed.wait_back(part, old)
    deployed.wait_for("web", "Ready", deployed.address(15))
    assert "Hello from the database" in eventually(lambda: web(deployed), what="the app answers again")
    # It is not only still there: it follows a change.
    deployed.deploy(
        {
            "web": {"module": "webserver", "ports": ["8080:80", "8081:80"], "address": deployed.address(15)},
            "db": {"module": "database", "type": "ClusterIP", "ports": [5432]},
        },
        {
            "webserver": {"image": "edge-expose/sample-web:1", "env": {"DATABASE": "db"}},
            "database": {"image": "edge-expose/sample-db:1"},
        },
    )
    assert "Hello" in eventually(lambda: http_get(f"http://{deployed.address(15)}:8081/"))


@needs_kubectl
def test_a_removal_that_takes_much_away_waits_for_a_word_and_then_goes_on(deployed: Local) -> None:
    deployed.deploy({f"e{number}": {"module": "webserver", "ports": [f"90{number:02}:80"]} for number in range(6)})
    for number in range(6):
        deployed.wait_for(f"e{number}", "Ready")
    deployed.deploy({"e0": {"module": "webserver", "ports": ["9000:80"]}})

    def held_back() -> dict[str, Any] | None:
        (device,) = json.loads(deployed.run("status", "edge1", "-o", "json").stdout)["devices"]
        return device if device["pendingRemoval"] else None

    device = eventually(held_back)
    assert device["lastDesiredStatus"]["code"] == 406
    assert deployed.kubectl("-n", "edge1", "get", "svc", "e5", "-o", "name")
    word = ("--allow", f"removals={device['pendingRemoval']['count']}")
    deployed.run("unexpose", "edge1", "--held-back", "--yes", *word)
    eventually(lambda: held_back() is None)
    eventually(lambda: "e5" not in deployed.kubectl("-n", "edge1", "get", "svc", "-o", "name"))
    deployed.wait_for("e0", "Ready")


def test_garbage_on_every_port_harms_nobody(deployed: Local) -> None:
    for part in deployed.instance.status()["parts"]:
        for port in part["ports"].values():
            if port:
                garbage("127.0.0.1", port, 300)
    garbage(deployed.address(15), 8080, 300)
    deployed.wait_for("web", "Ready", deployed.address(15))
    assert "Hello from the database" in eventually(lambda: web(deployed))


def test_three_pods_of_one_label_share_the_traffic_of_one_address_and_a_replaced_pod_keeps_it(local: Local) -> None:
    for number in (1, 2, 3):
        local.run(
            "local", "pod", "run", f"ws-{number}", "-l", "app=ws", "-p", "8080", "--state", str(local.instance.state)
        )
    local.deploy({"ws": {"selector": ["app=ws"], "ports": ["80:8080"], "address": local.address(16)}}, {"idle": ECHO})
    local.wait_for("ws", "Ready", local.address(16))
    eventually(lambda: local.status()["ws"]["endpoints"] == 3)
    answers = [http_get(f"http://{local.address(16)}/") for _ in range(30)]
    assert all(any(f"ws-{number}" in answer for answer in answers) for number in (1, 2, 3)), answers[:5]
    told = local.run("local", "pod", "replace", "ws-1", "--state", str(local.instance.state)).stderr
    before, after = told.split(": ", 1)[1].strip().split(" is now ")
    assert before != after
    local.wait_for("ws", "Ready", local.address(16))
    eventually(lambda: any("ws-1" in http_get(f"http://{local.address(16)}/") for _ in range(10)))
    for number in (1, 2, 3):
        local.run("local", "pod", "delete", f"ws-{number}", "--state", str(local.instance.state))


def test_an_exhausted_range_blocks_one_and_a_wider_one_makes_it_ready(local: Local) -> None:
    state = ["--state", str(local.instance.state)]
    local.run("local", "pool", "set", f"{local.address(10)}-{local.address(11)}", *state)
    wish = {"module": "idle", "ports": ["80:8080"]}
    local.deploy({"a": wish, "b": wish, "c": wish}, {"idle": ECHO})
    local.wait_for("a", "Ready", local.address(10))
    local.wait_for("b", "Ready", local.address(11))
    blocked = local.wait_for("c", "Blocked")
    assert blocked["reason"] == "PoolExhausted"
    local.run("local", "pool", "set", f"{local.address(10)}-{local.address(12)}", *state)
    local.wait_for("c", "Ready", local.address(12))
    assert local.status()["a"]["address"] == local.address(10)
    local.run("local", "pool", "set", f"{local.address(10)}-{local.address(20)}", *state)


@needs_kubectl
def test_a_service_of_kubectl_is_left_alone_and_taken_over_on_request(local: Local) -> None:
    local.kubectl("-n", "edge1", "create", "service", "loadbalancer", "theirs", "--tcp=80:8080")
    held = eventually(
        lambda: local.kubectl(
            "-n", "edge1", "get", "svc", "theirs", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"
        )
    )
    wish = {"module": "idle", "ports": ["80:8080"]}
    refused = local.run("expose", "edge1", "theirs", "--module", "idle", "--port", "80:8080", "--yes", expect=2)
    assert "ServiceNameTaken" in refused.stderr
    local.deploy({"theirs": {**wish, "adopt": True}}, {"idle": ECHO})
    eventually(lambda: local.status()["theirs"].get("reason") == "AdoptNotAllowed", what="the owner's word is asked")
    # The owner's word wakes the module, which watches this ConfigMap by name.
    rails = ("configmap", "edge-expose-guard-rails")
    local.kubectl("-n", "edge1", "create", *rails, "--from-literal=ALLOW_ADOPT=true")
    local.wait_for("theirs", "Ready", held)
    assert "edge-expose" in local.kubectl("-n", "edge1", "get", "svc", "theirs", "--show-labels")
    assert http_get(f"http://{held}/")


@needs_kubectl
def test_kubectl_works_against_the_local_cluster(deployed: Local) -> None:
    assert "web" in deployed.kubectl("-n", "edge1", "get", "services")
    described = deployed.kubectl("-n", "edge1", "describe", "service", "web")
    assert deployed.address(15) in described
    assert "IPAllocated" in described
    deployed.kubectl("-n", "edge1", "run", "extra", "--image=edge-expose/echo:1", "--port=8080", "--labels=app=extra")
    deployed.kubectl("-n", "edge1", "wait", "pod/extra", "--for=condition=Ready", "--timeout=60s")
    deployed.kubectl(
        *("-n", "edge1", "expose", "pod", "extra", "--type=LoadBalancer", "--port=80", "--target-port=8080"),
    )
    found = eventually(
        lambda: json.loads(deployed.kubectl("-n", "edge1", "get", "svc", "extra", "-o", "json"))["status"][
            "loadBalancer"
        ]
    )
    assert "extra" in eventually(lambda: http_get(f"http://{found['ingress'][0]['ip']}/"))
    patch = '{"spec":{"sessionAffinity":"ClientIP"}}'
    deployed.kubectl("-n", "edge1", "patch", "service", "extra", "-p", patch)
    assert "ClientIP" in deployed.kubectl("-n", "edge1", "describe", "service", "extra")
    deployed.kubectl("-n", "edge1", "delete", "service/extra", "pod/extra")


def test_two_instances_run_side_by_side(deployed: Local, tmp_path: Path) -> None:
    other = Local(tmp_path, profile="1.20")
    try:
        wish = {"module": "idle", "ports": ["80:8080", "80:8080/udp"]}
        other.deploy({"dual": wish}, {"idle": ECHO})
        entry = other.wait_for("dual", "Ready", other.address(10))
        assert entry["service"] == "edge1/dual"
        assert http_get(f"http://{other.address(10)}/")
    finally:
        other.stop()
    assert "Hello" in eventually(lambda: web(deployed))
