"""A device that moved to another hub, or was renamed: its Services belong to the module it was before."""

from __future__ import annotations

from typing import Any

from edge_expose_contract.identity import owner_id
from edge_expose_module.controller import Controller, Identity
from support.bench import Bench, NoMeasures, NoWatches, nobody_answers

FORMER, NAME = owner_id("hub.test", "edge1"), "hub.test/edge1/edge-expose"
WEB: dict[str, Any] = {"selector": ["app=ws"], "ports": [80]}


class Moving(Bench):
    """`move` starts the module under another identity, on the same disk."""

    def __init__(self) -> None:
        self.hub = "hub.test"
        super().__init__()

    def _new(self) -> Controller:
        return Controller(
            Identity(owner_id(self.hub, "edge1"), "1.0.0", "edge1", f"{self.hub}/edge1/edge-expose"),
            self.cluster,
            self.twin,
            self.store,
            self.guards,
            NoMeasures(),
            nobody_answers,
            now=lambda: self.time,
            watches=NoWatches(),
        )

    def move(self, *, keep_disk: bool = True) -> None:
        self.hub = "other.test"
        self.restart(keep_disk=keep_disk)


def moved(*, keep_disk: bool = True) -> Moving:
    bench = Moving()
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire({"web": {**WEB, "address": "10.0.0.15"}, "auto": WEB, "old": WEB})
    bench.run()
    bench.move(keep_disk=keep_disk)
    bench.desire({"web": WEB, "auto": {**WEB, "adopt": True}})
    bench.run()
    return bench


def test_the_report_says_whose_they_were_and_what_to_do() -> None:
    for keep_disk, who in ((True, f"{NAME}, which this module was before"), (False, f"owner id {FORMER}")):
        bench = moved(keep_disk=keep_disk)
        for name in ("web", "auto"):
            assert bench.state(name)[::2] == ("Blocked", "ForeignService"), "no twin takes them over"
            assert who in bench.exposure(name)["message"]
            assert "EDGE_EXPOSE_TAKE_OVER=" in bench.exposure(name)["message"]


def test_the_owner_of_the_device_lets_it_take_them_over_with_their_addresses() -> None:
    bench = moved()
    bench.cluster.rails = {"TAKE_OVER": NAME}
    bench.run()
    before = {name: service["metadata"]["uid"] for (_, name), service in bench.cluster.services.items()}
    assert bench.state("web") == ("Ready", "10.0.0.15", None)
    assert bench.state("auto")[:2] == ("Ready", bench.cluster.address_of("auto"))
    after = {name: service["metadata"]["uid"] for (_, name), service in bench.cluster.services.items()}
    assert before == after, "none was made again"
    labels = bench.cluster.services[("edge1", "old")]["metadata"]["labels"]
    assert labels["edge-expose.io/owner"] == FORMER, "what no exposure of ours names stays as it is"
