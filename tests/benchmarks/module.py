"""The part of `make bench` that is about the module: a first pass beside its peers, an idle pass, an edit, a start.

Each on the stand-in and on the real API server and load balancer of `make testbed`, in one run; medians of three.
Ratios and counts come first, since seconds are this machine's. Writes docs/benchmarks.md. KOPF names the `kopf` of an
environment of its own (`pip install kopf`), whose memory is then measured beside ours.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.twin_to_service import measure as measure_twin_to_service  # noqa: E402
from support.cluster import ClusterProcess, clean_environment  # noqa: E402
from support.lots import claim  # noqa: E402
from support.testbed_api import Api  # noqa: E402
from support.testbed_binaries import LOOPBACK, kubectl, why_not  # noqa: E402
from support.testbed_loopback import start_real_cluster  # noqa: E402

NAMESPACE = "edge1"
SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
CONNECTIONS = 8
SIZES = (10, 50, 100, 254)
GOALS = {
    "first pass / eight raw connections": ">= 0.9",
    "first pass / kubectl create": ">= 1.4",
    "API calls of an idle pass": "0",
    "CPU of an idle pass": "<= 20 ms",
    "writes of an edit that moves no address": "1",
    "reads of an edit that moves no address": "<= 1",
    "CPU from start to first pass done, nothing to write": "<= 1 s",
    "resident memory": "<= 65 MB, and below kopf",
    "twin patch to changed Service / hub hop + API write": "<= 1.5",
}
PEERS = ("module", "raw", "kubectl")
_OPERATOR = """
import json, os, pathlib
import kopf
seen = {}

@kopf.on.event("services")
def keep(name, body, **_):
    seen[name] = json.loads(json.dumps(dict(body)))
    pathlib.Path(os.environ["SEEN"]).write_text(str(len(seen)))
"""


class Bed:
    """A cluster with one ready pod, and the Services that a run makes in it."""

    def __init__(self, name: str, kubeconfig: Path, folder: Path) -> None:
        self.name = name
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.api = Api(kubeconfig)
        self._runs = 0

    def module(self, exposures: int, *, again: bool = False, edit: bool = False) -> dict[str, Any]:
        """The real controller in a process of its own; on a new disk unless `again`."""
        self._runs += not again
        state = self.folder / f"state{self._runs}"
        state.mkdir(exist_ok=True)
        wish = {"selector": ["app=w"], "ports": ["80:8080"]}
        desired = {"schemaVersion": "1.0", "exposures": {f"e{n:03}": wish for n in range(exposures)}}
        order = {"kubeconfig": str(self.kubeconfig), "namespace": NAMESPACE, "state": str(state), "desired": desired}
        if edit:
            order["edit"] = {"exposures": {"e007": {"ports": ["81:8080"]}}}
        environment = clean_environment()
        environment["PYTHONPATH"] += f":{ROOT / 'tests'}"
        # As it is installed: what has to be compiled first costs memory too.
        environment.pop("PYTHONDONTWRITEBYTECODE")
        command = [sys.executable, "-m", "support.measured_module"]
        done = subprocess.run(command, input=json.dumps(order), env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{self.name}: {done.stderr[-3000:]}")
        found = dict(json.loads(done.stdout))
        if found["summary"]["ready"] != exposures:
            raise SystemExit(f"{self.name}: {found['summary']}, {found['status']}, {done.stderr[-2000:]}")
        return found

    def bodies(self) -> list[dict[str, Any]]:
        """The Services as whoever creates them would write them."""
        return [_plain(item) for item in self.api.items(SERVICES)]

    def raw(self, bodies: Sequence[Mapping[str, Any]]) -> float:
        """Seconds to create them over eight connections that stay open."""
        kept = [_Kept(self.kubeconfig) for _ in range(CONNECTIONS)]
        shares = [bodies[number::CONNECTIONS] for number in range(CONNECTIONS)]
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            start = time.perf_counter()
            list(threads.map(_Kept.create_all, kept, shares))
            return time.perf_counter() - start

    def kubectl(self, bodies: Sequence[Mapping[str, Any]]) -> float:
        program = kubectl()
        assert program is not None
        file = self.folder / "services.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(bodies)}))
        command = [
            program,
            f"--kubeconfig={self.kubeconfig}",
            f"--namespace={NAMESPACE}",
            "create",
            "-f",
            str(file),
            "--validate=false",
        ]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
        if done.returncode:
            raise SystemExit(f"{self.name}: kubectl: {done.stderr[:1000]}")
        return time.perf_counter() - start

    def clear(self) -> None:
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            names = [item["metadata"]["name"] for item in self.api.items(SERVICES)]
            list(threads.map(lambda name: self.api.delete(f"{SERVICES}/{name}"), names))
        deadline = time.monotonic() + 60
        while self.api.items(SERVICES) and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(2)  # the load balancer takes its time to see them go

    def kopf(self, count: int) -> float | None:
        """Resident MiB of an operator that keeps every Service in memory, and does nothing else."""
        program = os.environ.get("KOPF")
        if not program:
            return None
        operator, seen = self.folder / "operator.py", self.folder / "seen"
        operator.write_text(_OPERATOR)
        environment = {**clean_environment(), "KUBECONFIG": str(self.kubeconfig), "SEEN": str(seen)}
        environment.pop("PYTHONPATH")
        command = [program, "run", "--standalone", "--namespace", NAMESPACE, str(operator)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not (seen.exists() and seen.read_text() == str(count)):
                time.sleep(0.2)
            time.sleep(3)
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            return int(dict(line.split(":", 1) for line in lines)["VmRSS"].split()[0]) / 1024
        finally:
            process.terminate()
            process.wait(20)


class _Kept:
    """One connection that stays open, which `Api` keeps for reads alone."""

    def __init__(self, kubeconfig: Path) -> None:
        self._api = Api(kubeconfig)
        self._connection = self._api.connection()
        self._connection.connect()

    def create_all(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._api.token}"}
        for body in bodies:
            self._connection.request("POST", SERVICES, json.dumps(body), headers)
            response = self._connection.getresponse()
            response.read()
            assert response.status == 201, response.status


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    meta = {key: item["metadata"][key] for key in ("name", "labels", "annotations") if key in item["metadata"]}
    spec = {key: value for key, value in item["spec"].items() if key not in ("clusterIP", "clusterIPs")}
    spec["ports"] = [{key: value for key, value in port.items() if key != "nodePort"} for port in spec["ports"]]
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


@contextmanager
def stand_in(folder: Path) -> Iterator[Bed]:
    lot = claim()
    base = lot.pool.split("-")[0].rpartition(".")[0]
    pool = f"{base}.1-{base}.254"
    arguments = ["--profile", "1.36", "--pool", pool, "--service-cidr", lot.service_cidr]
    kube, dns = lot.ports(2)
    cluster = ClusterProcess(folder / "cluster", arguments, "1.36", pool, {"kube": kube, "dns": dns})
    cluster.start()
    try:
        bed = Bed("the stand-in", cluster.kubeconfig, folder)
        bed.api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}, exists_ok=True)
        pod = {"namespace": NAMESPACE, "name": "w", "labels": {"app": "w"}, "port": 8080}
        cluster.control("POST", "/pods", pod)
        yield bed
    finally:
        cluster.stop()


@contextmanager
def real(folder: Path) -> Iterator[Bed]:
    cluster = start_real_cluster("1.36", folder / "cluster", "127.97.77.1-127.97.77.254")
    try:
        bed = Bed("Kubernetes 1.36.3", cluster.kubeconfig, folder)
        api, pods = bed.api, f"/api/v1/namespaces/{NAMESPACE}/pods"
        api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        api.create("/api/v1/nodes", {"metadata": {"name": "node1"}})
        spec = {"containers": [{"name": "c", "image": "none/none:1"}], "nodeName": "node1"}
        api.create(pods, {"metadata": {"name": "w", "labels": {"app": "w"}}, "spec": spec})
        ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
        status = {"phase": "Running", "podIP": "10.244.7.7", "podIPs": [{"ip": "10.244.7.7"}], "conditions": ready}
        api.merge(f"{pods}/w/status", {"status": status})
        yield bed
    finally:
        cluster.stop()


def measure(bed: Bed, runs: int) -> dict[str, Any]:
    """Everything the table holds of one bed; who comes first changes from run to run."""
    seconds: dict[str, list[float]] = {name: [] for name in PEERS}
    processor: list[float] = []
    sizes: dict[int, float] = {}
    bodies: list[dict[str, Any]] = []
    memory = None
    bed.module(1)  # leaves its bytecode behind
    bed.clear()
    for run in range(runs):
        first = run % len(PEERS)
        for name in PEERS[first:] + PEERS[:first]:
            if name == "module":
                found = bed.module(254, edit=run == runs - 1)
                seconds[name].append(found["first"]["seconds"])
                processor.append(found["first"]["cpu"])
                if run == runs - 1:
                    edited, restarted = found, bed.module(254, again=True)
                    memory = bed.kopf(254)
                bodies = bed.bodies()
            else:
                seconds[name].append(bed.raw(bodies) if name == "raw" else bed.kubectl(bodies))
            bed.clear()
        print(f"{bed.name}, run {run + 1}: " + ", ".join(f"{k} {v[-1]:.2f} s" for k, v in seconds.items()), flush=True)
    median = {name: statistics.median(found) for name, found in seconds.items()}
    sizes[254] = median["module"]
    for size in SIZES[:-1]:
        sizes[size] = bed.module(size)["first"]["seconds"]
        bed.clear()
    return {
        "rows": {
            "first pass / eight raw connections": f"{median['raw'] / median['module']:.2f}",
            "first pass / kubectl create": f"{median['kubectl'] / median['module']:.2f}",
            "reads of a first pass": f"{edited['first'].get('read', 0):.0f}",
            "CPU of a first pass": f"{statistics.median(processor):.2f} s",
            "API calls of an idle pass": f"{edited['idle']['calls']:.0f}",
            "CPU of an idle pass": f"{edited['idle']['cpu'] * 1000:.1f} ms",
            "writes of an edit that moves no address": f"{edited['edit'].get('write', 0):.0f}",
            "reads of an edit that moves no address": f"{edited['edit'].get('read', 0):.0f}",
            "CPU of that edit": f"{edited['edit']['cpu'] * 1000:.0f} ms",
            "CPU from start to first pass done, nothing to write": f"{restarted['started_cpu']:.2f} s",
            "resident memory": f"{restarted['mib'] * 1.048576:.0f} MB",
            "resident memory of a kopf operator that keeps the same": (
                "not measured" if memory is None else f"{memory * 1.048576:.0f} MB"
            ),
            "seconds: first pass, raw, kubectl": " / ".join(
                f"{median[name]:.2f}" for name in ("module", "raw", "kubectl")
            ),
        },
        "sizes": dict(sorted(sizes.items())),
    }


def twin_to_service(folder: Path) -> dict[str, str]:
    spans = measure_twin_to_service(folder)
    milliseconds = (spans.twin_to_service, spans.hub_hop, spans.api_write)
    return {
        "twin patch to changed Service / hub hop + API write": f"{spans.ratio:.1f}",
        "milliseconds: twin patch to changed Service, hub hop, API write": " / ".join(
            f"{span * 1000:.1f}" for span in milliseconds
        ),
    }


def report(found: Mapping[str, Mapping[str, Any]], runs: int) -> str:
    names = list(found)
    rows = list(dict.fromkeys(row for name in names for row in found[name]["rows"]))
    lines = [
        "# Benchmarks of the module",
        "",
        f"Written by `make bench` on {machine()}. 254 exposures with one port each, all Ready; medians, runs: {runs}.",
        "Ratios and counts hold on other machines; seconds are this one's.",
        "",
        f"| | goal | {' | '.join(names)} |",
        f"|---|---|{'---|' * len(names)}",
        *(
            f"| {row} | {GOALS.get(row, '')} | {' | '.join(found[n]['rows'].get(row, '') for n in names)} |"
            for row in rows
        ),
        "",
        "A ratio above 1 means that the module is faster than its peer: eight connections that only send the same",
        "bodies, or `kubectl create -f` of one file. A first pass also observes the cluster, allocates, remembers,",
        "reads the Services again and reports. An idle pass is one in which nothing that passes read has changed. A",
        "hub hop is a twin patch to the handler of a module that only listens; each peer is the first in some run.",
        "",
        "## Growth",
        "",
    ]
    for name in names:
        sizes: Mapping[int, float] = found[name]["sizes"]
        lines += [
            "```mermaid",
            "xychart-beta",
            f'  title "First pass on {name}, seconds by exposures"',
            f"  x-axis [{', '.join(str(size) for size in sizes)}]",
            '  y-axis "seconds"',
            f"  bar [{', '.join(f'{value:.2f}' for value in sizes.values())}]",
            "```",
            "",
        ]
    return "\n".join(lines)


def machine() -> str:
    text = Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "a CPU")
    name = f"{os.cpu_count()} processors of {model}, Linux {platform.release()}, Python {platform.python_version()}"
    # Above the number of processors others work there too, and ratios swing.
    return f"{name}, load average {os.getloadavg()[2]:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--runs", type=int, default=3)
    parser.add_argument("--write", type=Path, default=ROOT / "docs" / "benchmarks.md")
    chosen = parser.parse_args()
    beds: list[Callable[[Path], Any]] = [stand_in]
    reason = why_not("1.36", LOOPBACK)
    if reason:
        print(f"the real test bed is left out: {reason}")
    else:
        beds.append(real)
    found = {}
    for make in beds:
        with tempfile.TemporaryDirectory(prefix="edge-expose-bench-") as folder, make(Path(folder)) as bed:
            found[bed.name] = measure(bed, chosen.runs)
    with tempfile.TemporaryDirectory(prefix="edge-expose-bench-") as folder:
        found["the stand-in"]["rows"] |= twin_to_service(Path(folder))
    text = report(found, chosen.runs)
    print(text)
    chosen.write.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
