"""`make fuzz`: generated desired documents through the pure core and a fake cluster.

Nine in ten are seeded mutations of real documents, one in ten comes from hypothesis as arbitrary JSON. After each, a
pass: none may crash the module, none may remove a Service it should not, none may lose an address to a refusal, every
refusal carries a path and a reason. Restarts, clock jumps, range changes, rejected and restricted pools, holders that
nobody may see, a quota, hand deletions and failing writes are mixed in.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import copy
import logging
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from edge_expose_contract.addressing import parse_address
from edge_expose_contract.identity import LABEL_CLAIM, LABEL_EXPOSURE
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import DesiredDocument, Refusal, parse_desired
from edge_expose_contract.services import service_shapes
from support.bench import OWNER, Bench
from support.fake_cluster import FakeCluster
from support.fake_pools import FakePool

REAL: list[dict[str, Any]] = [
    {
        "schemaVersion": "1.0",
        "site": {"externalServiceIPs": "10.0.0.10-10.0.0.20", "nodeIPs": "10.0.0.1-10.0.0.2"},
        "exposures": {
            "web": {
                "selector": ["app=ws"],
                "ports": ["8080:80/tcp"],
                "address": "10.0.0.15",
                "hostname": "w.example.com",
            },
            "db": {"module": "database", "type": "ClusterIP", "ports": ["5432"]},
        },
    },
    {
        "schemaVersion": "1.0",
        "exposures": {
            "dns": {"module": "dns", "ports": ["53", "53/udp"], "allowFrom": ["10.0.0.0/8"]},
            "a": {"selector": ["app=ws"], "ports": [80], "share": "k"},
            "b": {"selector": ["app=ws"], "ports": [443], "share": "k"},
            "vm": {"endpoints": ["192.168.1.5"], "ports": ["80"], "expires": "2026-11-22T05:00:00Z"},
        },
    },
    {
        "schemaVersion": "1.0",
        "site": {"reserved": {"edgehub": "10.0.0.10"}, "pools": {"p": ["10.0.0.10/31"]}, "namespace": "edge1"},
        "exposures": {
            "rtsp": {"module": "cam", "ports": ["8554", "5000-5004:6000-6004/udp"], "sessionAffinity": "ClientIP"},
            "local": {"module": "cam", "ports": [{"port": 80, "targetPort": "http"}], "externalTrafficPolicy": "Local"},
            "off": {"module": "x", "ports": [1], "enabled": False},
        },
    },
    {
        "schemaVersion": "1.0",
        "change": {"by": "somebody", "at": "2026-11-22T04:00:00Z", "note": "why"},
        "confirmRemoval": "0123456789abcdef",
        "exposures": {
            "web": {"selector": ["app=ws"], "ports": ["8080:80/tcp"], "address": "10.0.0.13", "probe": "http:/health"},
            "a": {"selector": ["app=ws"], "ports": ["80"], "pool": "p", "labels": ["tier=front"]},
            "b": {"selector": ["app=ws"], "ports": ["81"], "hostname": "w.example.com", "annotations": ["team=blue"]},
            "foreign": {"selector": ["app=ws"], "ports": ["9"], "adopt": True},
            "x": {"selector": ["app=ws"], "ports": ["82"], "loadBalancerClass": "example.com/other"},
            "six": {"selector": ["app=ws"], "ports": ["83"], "ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"},
            "ask": {"module": "cam", "ports": ["84"], "address": "10.0.0.16", "externalTrafficPolicy": "Local"},
        },
    },
]
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    2**53,
    1.5,
    "",
    "x",
    "10.0.0.15",
    "a=b",
    "9" * 400,
    [],
    {},
    [None],
    {"a": 1},
    "💥",
    "..",
    "-",
]
ADDRESSES = [f"10.0.0.{number}" for number in range(10, 21)]
NAMES = ["web", "db", "dns", "a", "b", "vm", "rtsp", "local", "off", "new", "X", "web-udp", "1a", "x_y"]


class Fuzzer:
    def __init__(self, number: int) -> None:
        self.random = random.Random(number)
        self.counts: collections.Counter[str] = collections.Counter()
        self.before: dict[str, str] = {}
        """Our Services before the document that is fed now, each with its exposure."""
        self.held: dict[str, str] = {}
        """The addresses of those that had one."""
        self.renew()

    def renew(self) -> None:
        self.bench = Bench(FakeCluster(dialect=self.random.choice(["crd", "crd", "configmap"])))
        for name, labels in (("w", {"app": "ws"}), ("c", {"net.azure-devices.edge.module": "cam"})):
            self.bench.cluster.add_pod(name, labels)
        self.bench.cluster.add_service("foreign", {"type": "LoadBalancer", "ports": [{"port": 9}]})
        self.base: dict[str, Any] = copy.deepcopy(self.random.choice(REAL))
        self.feed(self.base)

    # --- documents ---

    def mutated(self) -> Any:
        if self.random.random() < 0.02:
            return self.random.choice(ODD)
        document = copy.deepcopy(self.base)
        for _ in range(self.random.randrange(1, 4)):
            part = self.random.choices(["exposures", "site", ""], [80, 12, 8])[0]
            self.mutate(document.get(part, document))
        if self.random.random() < 0.2 and isinstance(parse_desired(document), DesiredDocument):
            self.base = document
        return document

    def mutate(self, node: Any) -> None:
        while isinstance(node, (dict, list)) and node:
            key: Any = self.random.choice(list(node)) if isinstance(node, dict) else self.random.randrange(len(node))
            roll = self.random.random()
            if roll < 0.45 and isinstance(node[key], (dict, list)) and node[key]:
                node = node[key]
                continue
            if roll < 0.6:
                pinned = key == "address" and self.random.random() < 0.7
                node[key] = copy.deepcopy(self.random.choice(ADDRESSES if pinned else ODD))
            elif roll < 0.7:
                del node[key]
            elif roll < 0.8 and isinstance(node, dict):
                node[self.random.choice(NAMES)] = node[key]
            elif roll < 0.9 and isinstance(node[key], str) and node[key]:
                place = self.random.randrange(len(node[key]))
                node[key] = node[key][:place] + self.random.choice("-/:,.0 9a") + node[key][place + 1 :]
            else:
                node[key] = copy.deepcopy(self.random.choice(list(self.random.choice(REAL)["exposures"].values())))
            return

    def shake(self) -> None:
        """Something beside the document."""
        bench, roll = self.bench, self.random.random()
        if roll < 0.05:
            bench.restart(keep_disk=self.random.random() < 0.7)
        elif roll < 0.08:
            bench.later(hours=self.random.choice([-3, -1, 1, 3]))
        elif roll < 0.12:
            bench.cluster.set_pool(self.random.choice(["10.0.0.10-10.0.0.20", "10.0.0.10-10.0.0.12", "10.0.0.8/29"]))
        elif roll < 0.15 and self.services():
            name = self.random.choice(sorted(self.services()))
            bench.cluster.services = {key: v for key, v in bench.cluster.services.items() if key[1] != name}
            bench.cluster.settle()
        elif roll < 0.17:
            bench.cluster.fail_writes = 2
        elif roll < 0.2:
            held = {bench.cluster.address_of(name) for name in self.services()}
            bench.cluster.hidden = {address for address in self.random.sample(ADDRESSES, 3) if address not in held}
            bench.cluster.settle()
        elif roll < 0.23:
            self.shake_pools()
        elif roll < 0.24:
            bench.cluster.refuse("quota-of-services", times=self.random.randrange(1, 4), quota="q", namespace="edge1")

    def shake_pools(self) -> None:
        """A configuration that the load balancer rejects, or a pool for others beside the first one."""
        cluster, whole = self.bench.cluster, FakePool.of("10.0.0.10-10.0.0.20")
        if self.random.random() < 0.5:
            values = {"other_cidr": "10.0.0.15/32", "other": "q", "cidr": "10.0.0.15/32"}
            cluster.reject_pools({"p": whole, "q": FakePool.of("10.0.0.15/32")}, "pools-overlap", **values)
        elif cluster.dialect == "crd":
            others = {"priority": 1, "namespaces": ["others"]}
            cluster.set_pools({"p": whole, "others": FakePool.of("10.0.0.30-10.0.0.32", allocation=others)})

    # --- one document, and what must hold ---

    def services(self) -> dict[str, str]:
        """Our Services and the exposure each belongs to, without claims, which come and go."""
        found = {}
        for (_, name), body in self.bench.cluster.services.items():
            labels = body["metadata"].get("labels") or {}
            if labels.get("edge-expose.io/owner") == OWNER and LABEL_CLAIM not in labels:
                found[name] = labels[LABEL_EXPOSURE]
        return found

    def tell(self) -> None:
        """What a person needs to find out what went wrong."""
        cluster = self.bench.cluster
        for (_, name), body in sorted(cluster.services.items()):
            print(f"  {name} at {cluster.address_of(name)}: {body['spec']} {body['metadata'].get('annotations')}")
        print(f"  out of sight: {sorted(cluster.hidden)}; pools {cluster.pool}, told: {cluster.metallb.rejection}")
        print(f"  last writes: {cluster.writes[-12:]}")
        print(f"  last said: {[event['message'] for event in cluster.events[-6:]]}")
        print(f"  reported: {self.bench.twin.reported.get('exposures')}")
        print(f"  remembered: {self.bench.store.load()}")

    def expected(self, name: str, exposure: Exposure | None) -> set[str]:
        """The Services of one form of an exposure; none of one that is over or switched off."""
        if exposure is None or not exposure.enabled:
            return set()
        if exposure.expires is not None:
            return set()  # over already, or, since the clock jumps, over once before
        return {shape.name for shape in service_shapes(name, exposure, "edge1")}

    def must_come_back(self, services: set[str], why: str) -> None:
        """What was deleted to be made anew is there again once nothing fails any more; but for one that had no address
        and would get none, since no Service is made of what is blocked."""
        bench = self.bench
        bench.cluster.fail_writes = 0
        bench.cluster.allow()
        for _ in range(4):
            if services <= self.services().keys():
                return
            bench.controller.wake_for_twin()
            asyncio.run(bench.controller.reconcile())
            self.counts["passes until a Service was there again"] += 1
        blocked = {name for name, entry in bench.twin.reported["exposures"].items() if entry["state"] == "Blocked"}
        hopeless = {name for name in services - self.held.keys() if self.before[name] in blocked}
        gone = services - self.services().keys() - hopeless
        assert not gone, f"{why}, and {gone} was removed"

    def feed(self, document: Any) -> None:
        bench = self.bench
        before = self.before = self.services()
        held = self.held = {name: address for name in before if (address := bench.cluster.address_of(name))}
        writes = len(bench.cluster.writes)
        bench.twin.desired = copy.deepcopy(document)
        bench.twin.version += 1
        bench.controller.wake_for_twin()
        asyncio.run(bench.controller.reconcile())
        self.counts["documents"] += 1
        deleted = {
            n.split("/")[1] for verb, kind, n in bench.cluster.writes[writes:] if verb == "delete" and kind == "Service"
        }
        self.judge(document, before, deleted)
        if any(bench.cluster.address_of(name) is None for name in held):
            self.judge_lost(held)

    def judge_lost(self, held: dict[str, str]) -> None:
        """Where no claim can be made a refused request costs the address, and the next passes bring it back."""
        bench = self.bench
        for _ in range(4):
            bench.controller.wake_for_twin()
            asyncio.run(bench.controller.reconcile())
        self.counts["addresses that had to be brought back"] += 1
        for name, address in held.items():
            body = bench.cluster.services.get(("edge1", name))
            if body is None or body["spec"]["type"] != "LoadBalancer" or body["spec"].get("loadBalancerClass"):
                continue
            others = (other for _, other in bench.cluster.services if other != name)
            taken = any(bench.cluster.address_of(other) == address for other in others)
            legal = parse_address(address) in bench.cluster.pool and address not in bench.cluster.hidden
            assert bench.cluster.address_of(name) or taken or not legal, (
                f"{name} lost {address} to a refusal: {bench.cluster.events[-3:]}"
            )

    def judge(self, document: Any, before: dict[str, str], deleted: set[str]) -> None:
        result = parse_desired(document)
        assert ("edge1", "foreign") in self.bench.cluster.services, "a foreign Service was removed"
        report = self.bench.twin.reported
        status = report["lastDesiredStatus"]
        if isinstance(result, Refusal):
            self.counts[f"refused with {result.code}"] += 1
            assert result.description
            assert status["code"] == result.code.number, status
            # The last good document goes on; only what had expired or moved by it may change.
            return
        assert isinstance(result, DesiredDocument)
        self.counts["accepted"] += 1
        for name, violations in result.invalid.items():
            self.counts["exposures refused"] += 1
            assert violations
            assert all(v.path.startswith(f"exposures.{name}") and v.rule and v.message for v in violations)
            good = self.bench.store.load().good_exposures().get(name)
            lost = {service for service, exposure in before.items() if exposure == name} & deleted
            lost &= self.expected(name, good)
            if lost - self.services().keys():
                self.must_come_back(lost, f"{name} is broken in the document")
        for name, entry in report["exposures"].items():
            if entry["state"] in ("Blocked", "Failed", "Pending"):
                assert entry.get("reason"), (name, entry)
        for service in deleted & before.keys():
            exposure = before[service]
            if exposure in result.invalid:
                continue  # judged above
            wish = result.exposures.get(exposure)
            if service in self.expected(exposure, wish) and service not in self.services():
                self.must_come_back({service}, f"{exposure} is wished for")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "ports", "module"]), inner, max_size=4)
    ),
    max_leaves=12,
)
DOCUMENTS = (
    st.fixed_dictionaries(
        {"schemaVersion": st.just("1.0"), "exposures": st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4)},
        optional={"site": JSON},
    )
    | JSON
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=100000)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    started = time.monotonic()
    fuzzer = Fuzzer(arguments.seed)

    @seed(arguments.seed)
    @settings(
        max_examples=max(1, arguments.documents // 10),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(DOCUMENTS)
    def arbitrary(document: Any) -> None:
        fuzzer.feed(document)

    arbitrary()
    while fuzzer.counts["documents"] < arguments.documents:
        if fuzzer.counts["documents"] % 300 == 0:
            fuzzer.renew()
        fuzzer.shake()
        document = fuzzer.mutated()
        try:
            fuzzer.feed(document)
        except Exception:
            print(f"seed {arguments.seed}, document {fuzzer.counts['documents']}: {document!r}")
            fuzzer.tell()
            raise
    print(
        f"seed {arguments.seed}: {time.monotonic() - started:.0f} s, "
        "nothing crashed, nothing was removed without a cause"
    )
    for what, count in sorted(fuzzer.counts.items()):
        print(f"  {count:7}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
