"""A host name stands on one Service: the first by name, the TCP half of a pair, and whoever has it keeps it."""

from __future__ import annotations

from typing import Any

from edge_expose_contract.hostnames import without_their_hostname
from edge_expose_contract.identity import HOSTNAME_ANNOTATION
from edge_expose_module.desired.rails.model import Guards
from support.bench import Bench

NAME = "web.site1.example.com"


def web(**more: Any) -> dict[str, Any]:
    return {"selector": ["app=ws"], "ports": [80], "hostname": NAME, **more}


def carrying(bench: Bench) -> list[str]:
    """Services that carry the name."""
    return [
        name
        for (_, name), body in sorted(bench.cluster.services.items())
        if body["metadata"].get("annotations", {}).get(HOSTNAME_ANNOTATION) == NAME
    ]


def warnings(bench: Bench) -> list[str]:
    return list(bench.twin.reported.get("warnings", []))


def running(exposures: dict[str, Any], guards: Guards | None = None) -> Bench:
    bench = Bench(guards=guards)
    bench.cluster.add_pod("ws", {"app": "ws"})
    bench.desire(exposures)
    bench.run()
    return bench


def test_the_first_by_name_carries_it_and_the_other_is_warned_of() -> None:
    bench = running({"b": web(), "a": web(), "c": web(hostname="c.example.com")})
    assert carrying(bench) == ["a"]
    assert warnings(bench) == [f"hostname {NAME} of exposure b is carried by exposure a alone; give each its own"]
    assert [bench.state(name)[0] for name in ("a", "b", "c")] == ["Ready"] * 3


def test_who_has_it_keeps_it_until_it_goes() -> None:
    bench = running({"b": web()})
    bench.desire({"b": web(), "a": web()})
    bench.run()
    assert carrying(bench) == ["b"]
    bench.restart(keep_disk=False)
    bench.run()
    assert carrying(bench) == ["b"]
    bench.desire({"a": web()})
    bench.run()
    assert carrying(bench) == ["a"]
    assert warnings(bench) == []


def test_one_that_is_blocked_and_runs_on_keeps_it_too() -> None:
    bench = running({"b": web(ports=[81])})
    bench.cluster.rails = {"ALLOW_PORTS": "80"}
    bench.desire({"b": web(ports=[81]), "a": web()})
    bench.run()
    assert bench.state("b")[2] == "OutsideRails"
    assert carrying(bench) == ["b"]


def test_of_a_pair_the_tcp_half_carries_it() -> None:
    bench = running({"dns": web(ports=["53", "53/udp"])})
    assert sorted(name for _, name in bench.cluster.services) == ["dns", "dns-udp"]
    assert carrying(bench) == ["dns"]
    assert warnings(bench) == [f"hostname {NAME} stands on Service dns alone: dns-udp has its address"]


def test_services_that_both_carry_it_from_before_are_mended_and_then_quiet() -> None:
    bench = running({"a": web(hostname="a.example.com"), "b": web()})
    bench.cluster.services["edge1", "a"]["metadata"]["annotations"][HOSTNAME_ANNOTATION] = NAME
    bench.desire({"a": web(), "b": web()})
    bench.run()
    assert carrying(bench) == ["a"]
    writes = len(bench.cluster.writes)
    bench.run()
    assert len(bench.cluster.writes) == writes


def test_no_order_changes_who_carries_it() -> None:
    wanted = {"c": "x", "a": "x", "b": "y"}
    assert without_their_hostname(wanted) == without_their_hostname(dict(reversed(wanted.items()))) == {"c": "a"}
    assert without_their_hostname(wanted, [("c", "x")]) == {"a": "c"}
