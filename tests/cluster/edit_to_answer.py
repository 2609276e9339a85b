"""How long from a twin edit to the first answer at the new external address, on the network form of both combinations.

Each round adds an exposure by editing the module twin through the hub, and asks its address from outside until it
answers. Root only: `python tests/cluster/edit_to_answer.py [-n 10]`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "module"), str(ROOT / "cloud")]

from support.testbed_binaries import NETWORK, why_not  # noqa: E402
from support.testbed_machines import LAN  # noqa: E402
from support.testbed_netns import why_no_namespaces  # noqa: E402
from support.testbed_network import NetworkCluster  # noqa: E402
from support.testbed_site import Site  # noqa: E402
from support.testbed_traffic import echo  # noqa: E402


def measure(profile: str, rounds: int) -> list[float]:
    """Seconds of each round."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = NetworkCluster(profile, Path(folder))
        try:
            cluster.start()
            site = Site(cluster, cluster.folder)
            try:
                site.grant()
                cluster.run_sample("echo1", "echo", {"app": "echo"}, [(80, "TCP")])
                site.deploy({})
                site.start_module()
                site.waiting(lambda: site.reported().get("lastDesiredStatus"), "the module reports")
                return [_round(site, 241 + number % 10, number) for number in range(rounds)]
            finally:
                site.stop()
        finally:
            cluster.remove()


def _round(site: Site, last: int, number: int) -> float:
    ip = f"{LAN}.{last}"
    site.desire({})
    site.waiting(lambda: not site.reported().get("exposures"), "none left")
    time.sleep(1.0)
    begin = time.monotonic()
    site.desire({f"r{number}": {"selector": ["app=echo"], "ports": ["8080:80"], "address": ip}})
    while True:
        try:
            echo(site.cluster.outside, ip, 8080, timeout=0.05)
        except OSError:
            if time.monotonic() - begin > 30:
                raise
            time.sleep(0.005)
        else:
            return time.monotonic() - begin


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=10, help="rounds on each combination")
    arguments = parser.parse_args()
    for profile in ("1.36", "1.20"):
        reason = why_no_namespaces() or why_not(profile, NETWORK)
        if reason:
            print(reason, file=sys.stderr)
            return 1
        times = sorted(measure(profile, arguments.n))
        median, longest = statistics.median(times) * 1000, times[-1] * 1000
        print(f"Kubernetes {profile}: median {median:.0f} ms of {len(times)}, longest {longest:.0f} ms", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
