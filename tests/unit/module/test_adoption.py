"""A Service that is taken over loses nothing that nobody spoke of, keeps its address, and is ours from then on."""

from __future__ import annotations

from typing import Any

import pytest

from support.bench import Bench

SITE = {"externalServiceIPs": "10.0.0.10-10.0.0.20", "reserved": {"printer": "10.0.0.19"}}


def web(**more: Any) -> dict[str, Any]:
    return {"selector": ["app=ws"], "ports": [80], "adopt": True, **more}


def theirs(annotations: dict[str, str] | None = None, **spec: Any) -> Bench:
    """A Service of kubectl at .19, on a device whose owner lets us adopt it."""
    bench = Bench()
    bench.cluster.rails = {"ALLOW_ADOPT": "true"}
    bench.cluster.add_pod("ws", {"app": "ws"})
    body = {"type": "LoadBalancer", "loadBalancerIP": "10.0.0.19", "ports": [{"port": 80}], "selector": {"app": "ws"}}
    bench.cluster.add_service("web", {**body, **spec}, annotations=annotations or {})
    return bench


def spec(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = bench.cluster.services["edge1", "web"]["spec"]
    return found


CASES: list[Any] = [
    (
        {"loadBalancerSourceRanges": ["10.1.0.0/16"]},
        {},
        "loadBalancerSourceRanges 10.1.0.0/16 (allowFrom)",
        {"allowFrom": ["10.1.0.0/16"]},
    ),
    (
        {"loadBalancerSourceRanges": ["10.1.0.0/16"]},
        {},
        "loadBalancerSourceRanges 10.1.0.0/16 (allowFrom)",
        {"allowFrom": ["0.0.0.0/0"]},
    ),
    ({"sessionAffinity": "ClientIP"}, {}, "sessionAffinity ClientIP", {"sessionAffinity": "None"}),
    ({"externalTrafficPolicy": "Local"}, {}, "externalTrafficPolicy Local", {"externalTrafficPolicy": "Local"}),
    ({"ports": [{"port": 80}, {"port": 443}]}, {}, "port 443/tcp (ports)", {"ports": [80, 443]}),
    ({}, {"metallb.io/allow-shared-ip": "k"}, "sharing key k (share)", {"share": "k"}),
    ({}, {"metallb.io/address-pool": "default"}, "pool default (pool)", {"pool": "default"}),
    ({}, {"metallb.universe.tf/address-pool": "default"}, "pool default (pool)", {"pool": "default"}),
]


@pytest.mark.parametrize(("body", "annotations", "told", "word"), CASES)
def test_what_the_exposure_does_not_say_waits_for_a_word(
    body: dict[str, Any], annotations: dict[str, str], told: str, word: dict[str, Any]
) -> None:
    bench = theirs(annotations, **body)
    before = dict(bench.cluster.services)
    bench.desire({"web": web()})
    bench.run()
    assert bench.state("web") == ("Blocked", None, "AdoptionWouldDrop")
    assert told in bench.exposure("web")["message"]
    assert bench.cluster.services == before
    bench.desire({"web": web(**word)})
    bench.run()
    assert bench.state("web") == ("Ready", "10.0.0.19", None)


def test_all_that_would_be_dropped_is_told_at_once() -> None:
    bench = theirs(loadBalancerSourceRanges=["10.1.0.0/16"], sessionAffinity="ClientIP")
    bench.desire({"web": web()})
    bench.run()
    assert "(allowFrom), sessionAffinity ClientIP (sessionAffinity); say them" in bench.exposure("web")["message"]


def test_what_no_field_stands_for_is_kept() -> None:
    bench = theirs({"example.com/team": "a"}, externalIPs=["192.0.2.9"], publishNotReadyAddresses=True)
    bench.desire({"web": web()})
    bench.run()
    assert bench.state("web")[0] == "Ready"
    assert spec(bench)["externalIPs"] == ["192.0.2.9"]
    assert spec(bench)["publishNotReadyAddresses"] is True
    assert bench.cluster.services["edge1", "web"]["metadata"]["annotations"]["example.com/team"] == "a"


@pytest.mark.parametrize("pinned", [{}, {"address": "10.0.0.19"}])
def test_a_reserved_address_is_kept_for_good_and_given_to_nobody_else(pinned: dict[str, str]) -> None:
    bench = theirs()
    bench.desire({"web": web(**pinned)}, site=SITE)
    bench.run()
    assert bench.state("web") == ("Ready", "10.0.0.19", None)
    bench.restart()
    bench.run()
    assert bench.state("web")[1] == "10.0.0.19"
    bench.cluster.lose_services()
    other = {"selector": ["app=ws"], "ports": [80], "address": "10.0.0.19"}
    bench.desire({"web": web(**pinned), "other": other}, site=SITE)
    bench.run()
    assert bench.state("web") == ("Ready", "10.0.0.19", None)
    assert bench.state("other")[2] == "ReservedAddress"


def test_the_report_of_the_adoption_says_that_withdrawing_deletes_and_it_does() -> None:
    bench = theirs()
    bench.desire({"web": web()})
    bench.run()
    told = "exposure web took Service edge1/web over (adopt): withdrawing the exposure deletes it, as any of ours"
    assert told in bench.twin.reported["warnings"]
    bench.desire({})
    bench.run()
    assert bench.cluster.services == {}
    assert "warnings" not in bench.twin.reported
