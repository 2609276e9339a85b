"""`make soak SEED=n STEPS=500`: a randomised run with real processes, and what must hold.

Twin edits, ports of shared addresses that change hands, hub drops, `kill -9` of every part, hand edits and deletions
of Services, foreign Services; a load balancer that refuses requests and rejects configurations, pools for others,
holders that may not be seen; a second process of the module, a script that fights over a field, an identity that is
made again. At every pause (and at the end)
faults stop, and then: desired = observed, no held address moved without a cause (a refused move is none), nothing
foreign was touched, and the module's process leaked neither threads, files nor memory. Clock jumps, which real
processes of one machine cannot have, are part of `make fuzz`.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.soak.checks import LIMITS, Checks
from benchmarks.soak.groups import Groups
from benchmarks.soak.record import Record
from benchmarks.soak.steps import Steps
from benchmarks.soak.swaps import Swaps
from benchmarks.soak.trouble import Trouble
from benchmarks.soak.world import NAMESPACE, World, on_real_cluster, stand_in
from edge_expose_local.control_client import ControlError
from edge_expose_module.cluster.api import ClusterError

PAUSE_EVERY = 25
QUIET_SECONDS = 60.0
FIRST_BLOCK = 140
"""Second number of the addresses used, for seed 0: several seeds may run side by side."""


class Soak:
    def __init__(self, world: World, seed: int, *, swaps: bool = False, watches: bool = False) -> None:
        self.record = Record()
        self.world = world
        self._account = world.blind_account()
        if watches:
            self._account = world.trouble_watches(self._account, seed)
        self.random = random.Random(seed)
        self.steps = Steps(world, self.record, self.random)
        self.trouble = Trouble(world, self.record, self.steps)
        self.checks = Checks(world, self.record, self.steps.hub)
        groups = Groups(self.record, self.steps)
        self.weighted = self.steps.weighted() + groups.weighted() + self.trouble.weighted()
        if swaps:
            self.weighted = Swaps(world, self.record, self.steps).weighted()
        self.pause_every = 1 if swaps else PAUSE_EVERY
        self._told = 0
        """Lines of the history up to the last pause."""

    def start(self) -> None:
        """Deploys the module with an account that does not see everything, and a first exposure."""
        first = {"module": "idle", "ports": ["1000:8080"]}
        own = {"image": "edge-expose/module:1", "env": {"KUBECONFIG": str(self._account)}}
        local = self.world.local
        local.deploy({"e0": first}, {"idle": {"image": "edge-expose/echo:1"}, "edge-expose": own})
        local.wait_for("e0", "Ready")
        self.record.wish("e0", first)

    def step(self) -> None:
        action = self.random.choices([a for a, _ in self.weighted], [w for _, w in self.weighted])[0]
        try:
            action()
        except (ClusterError, ControlError, OSError) as error:
            self.record.counts[f"world away ({type(error).__name__})"] += 1
        except Exception as error:  # the service SDK's own kinds, while the hub is being killed
            if "msrest" not in type(error).__module__ and "requests" not in type(error).__module__:
                raise
            self.record.counts["hub away"] += 1

    def pause(self) -> list[str]:
        """Waits for quiet; what is still wrong then."""
        deadline = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < deadline:
            try:
                self.trouble.calm_down()
                break
            except (ControlError, ClusterError, OSError):
                time.sleep(0.2)  # just killed, on its way back
        problems = ["nothing was seen"]
        deadline = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < deadline and problems:
            time.sleep(0.3)
            try:
                problems = self.checks.problems()
            except Exception as error:  # parts are coming back
                problems = [f"{type(error).__name__}: {error}"]
        self.record.given_away.clear()
        self.record.unheld.clear()
        if not problems:
            self._told = len(self.record.history)
        return problems

    def tell(self, problems: list[str]) -> None:
        """What went wrong, with what the module's log and the history say of it."""
        for problem in problems[:20]:
            print(f"  {problem}")
        names = {problem.split(":")[0] for problem in problems}
        log = (self.world.local.instance.state / "runtime" / NAMESPACE / "edge-expose.log").read_text().splitlines()
        told = [line for line in log if any(f"edge1/{name}" in line for name in names)]
        print("what the module's log says of them, last lines:")
        print("\n".join((told or log)[-40:]))
        print("what the cluster says of them:")
        for line in self.world.told_of(names):
            print(f"  {line}")
        for part in sorted(self.world.local.instance.state.glob("*.log")):
            print(f"end of {part.name}:")
            print("\n".join(part.read_text(errors="replace").splitlines()[-15:]))
        print("what was done to them, and to all since the last pause:")
        newest = self.record.history[self._told :]
        named = [line for line in self.record.history[: self._told] if any(name in line for name in names)]
        print("\n".join((*named[-40:], "...", *newest)))


def run(world: World, seed: int, steps: int, *, swaps: bool = False, watches: bool = False) -> int:
    soak = Soak(world, seed, swaps=swaps, watches=watches)
    started, pauses, longest = time.monotonic(), 0, 0.0
    try:
        soak.start()
        for number in range(1, steps + 1):
            soak.step()
            if number % soak.pause_every == 0 or number == steps:
                began = time.monotonic()
                problems = soak.pause()
                longest = max(longest, time.monotonic() - began)
                pauses += 1
                if problems:
                    print(f"seed {seed}, after step {number}: {len(problems)} problems")
                    soak.tell(problems)
                    return 1
        footprint = soak.checks.footprint()
    finally:
        soak.trouble.end()
    where = f"{'real' if world.restart else 'embedded'}-{world.profile}"
    print(f"{where}, seed {seed}: {steps} steps, {pauses} pauses, {time.monotonic() - started:.0f} s: all held")
    print(f"  {longest:5.1f}  seconds until all was as wished, at most")
    for what, count in sorted(soak.record.counts.items()):
        print(f"  {count:5}  {what}")
    print(f"  {len(soak.record.kept_ports):5}  ports that the load balancer kept though nobody had them")
    print(f"  {soak.record.moved_with_cause:5}  addresses moved with a cause (out of range, or given away meanwhile)")
    print(f"  module at the end: {footprint['threads']} threads, {footprint['files']} files, {footprint['MiB']} MiB")
    over = [f"{name} {footprint[name]} > {limit}" for name, limit in LIMITS.items() if footprint[name] > limit]
    if over:
        print(f"  too much: {', '.join(over)}")
    return 1 if over else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--profile", choices=("1.36", "1.20"), default="1.36")
    parser.add_argument("--real", action="store_true", help="on the real API server and MetalLB of `make testbed`")
    parser.add_argument(
        "--swaps", action="store_true", help="only exposures that change places, with a pause after each"
    )
    parser.add_argument(
        "--watches",
        action="store_true",
        help="the module's watches are delayed, kept back, reordered and replayed",
    )
    arguments = parser.parse_args()
    make = on_real_cluster if arguments.real else stand_in
    folder = tempfile.mkdtemp(prefix="edge-expose-soak-")
    block = FIRST_BLOCK + 2 * (arguments.seed % 20)
    with make(Path(folder), block, arguments.profile) as world:
        code = run(world, arguments.seed, arguments.steps, swaps=arguments.swaps, watches=arguments.watches)
    if code:
        print(f"all logs and states of this run are kept in {folder}")
    else:
        shutil.rmtree(folder)
    return code


if __name__ == "__main__":
    sys.exit(main())
