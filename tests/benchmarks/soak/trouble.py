"""What a load balancer that says no, second writers and a hub without memory do to a device."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from azure.iot.hub.models import Twin, TwinProperties

from benchmarks.soak.record import Record
from benchmarks.soak.steps import Step, Steps
from benchmarks.soak.world import ELSEWHERE, NAMESPACE, World, address_of
from edge_expose_contract.addressing import AddressSet, parse_address
from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.cluster.api import SERVICES, ClusterError
from support.watch_proxy import MODES

FIGHT_SECONDS = 3.0
MOST_REPAIRS = 40
"""In one fight; a module that repairs at once, always, makes more than a dozen a second."""
_HUB_SECONDS = 30.0


class Trouble:
    def __init__(self, world: World, record: Record, steps: Steps) -> None:
        self.world = world
        self.record = record
        self.steps = steps
        self.random = steps.random
        self._numbers = iter(range(1, 100000))
        self._second: subprocess.Popen[bytes] | None = None
        self._fights: list[threading.Thread] = []
        self._legal_before = self.legal

    def weighted(self) -> list[Step]:
        return [
            (self.change_ranges, 5),
            (self.change_extra_pool, 3),
            (self.break_pools, 3),
            (self.mend_pools, 3),
            (self.hide, 5),
            (self.reveal, 2),
            (self.pin_to_hidden, 6),
            (self.start_second, 2),
            (self.stop_second, 2),
            (self.fight, 2),
            (self.make_identity_again, 1),
            *([(self.trouble_watches, 12)] if self.world.proxy is not None else []),
        ]

    # --- watches ---

    def trouble_watches(self) -> None:
        """From now on the module's watches are kept back, delayed, told in another order, or told again."""
        assert self.world.proxy is not None
        self.world.proxy.mode = self.random.choice(MODES)
        self.record.note(f"watches: {self.world.proxy.mode}, for every exposure")
        self.record.counts[f"watches: {self.world.proxy.mode}"] += 1

    # --- pools ---

    @property
    def legal(self) -> AddressSet:
        """What the module may get from the pools as they are written."""
        extra = self.world.extra.get("extra", {})
        open_to_us = extra and "serviceAllocation" not in extra
        return AddressSet.parse([self.world.ranges, *(extra["addresses"] if open_to_us else ())])

    def change_ranges(self) -> None:
        last = self.random.choice([16, 25, 39, 39])
        self.world.ranges = f"{self.world.local.address(10)}-{self.world.local.address(last)}"
        self._write("range changes")

    def change_extra_pool(self) -> None:
        """A second pool: there for all, there for others only (where pools can say so), or not there."""
        choices: list[dict[str, Any]] = [{}, {"addresses": [self._range(60, 65)]}]
        if self.world.profile != "1.20":
            choices.append({**choices[1], "serviceAllocation": {"priority": 1, "namespaces": [ELSEWHERE]}})
        self.world.extra.pop("extra", None)
        if chosen := self.random.choice(choices):
            self.world.extra["extra"] = chosen
        self._write("pools opened, restricted or removed")

    def break_pools(self) -> None:
        """An overlap: MetalLB rejects the whole configuration and goes on with the one before."""
        if "broken" not in self.world.extra:
            self.world.extra["broken"] = {"addresses": [self._range(12, 13)]}
            self._write("configurations that MetalLB rejects")

    def mend_pools(self) -> None:
        broken = self.world.extra.pop("broken", None)
        if broken is None:
            return
        try:
            self._write("configurations mended")
        except Exception:
            # The cluster is away: it comes back with the broken one, and knows none from before.
            self.world.extra["broken"] = broken
            raise

    def _range(self, first: int, last: int) -> str:
        return f"{self.world.local.address(first)}-{self.world.local.address(last)}"

    def _write(self, what: str) -> None:
        try:
            self.world.set_pools()
        finally:  # written again at the next pause
            self.record.counts[what] += 1
            self.record.note(f"pools {self.world.ranges} {self.world.extra} for every exposure")
            self.forget_illegal()

    def forget_illegal(self) -> None:
        """MetalLB 0.10 takes no address away: it rejects such a range, which the module cannot know where the holder is
        invisible, and forgets when it starts anew. It takes a range that only leaves out what nobody holds just then,
        since a Service was deleted by hand."""
        before, legal = self._legal_before, self.legal
        self._legal_before = legal
        unseen = any(parse_address(address) not in legal for address in self.record.hidden.values())
        if self.world.profile != "1.20" or unseen or self.steps.kills:
            self.record.forget_outside(legal, before)
        else:
            self.record.forget_outside(legal, before, only=self.record.unheld)

    # --- holders that nobody may see ---

    def hide(self) -> None:
        """Somebody elsewhere asks for an address, and has it unless it is taken."""
        name, wanted = f"h{next(self._numbers)}", self.world.local.address(self.random.randrange(10, 40))
        spec = {"type": "LoadBalancer", "loadBalancerIP": wanted, "ports": [{"port": 80, "protocol": "TCP"}]}
        self.world.api.create(SERVICES, ELSEWHERE, {"metadata": {"name": name}, "spec": spec})
        self.record.hidden[name] = wanted
        time.sleep(0.1)
        held = address_of(self.world.api.get(SERVICES, ELSEWHERE, name))
        self.record.note(
            f"{name} is out of sight, asks for {wanted} and has {held or 'none'}, in the way of every exposure"
        )
        if not held or len(self.record.hidden) > 5:
            self.reveal(name)
            return
        self.record.given_away.add(held)
        self.record.counts["invisible holders"] += 1

    def reveal(self, name: str = "") -> None:
        names = [name] if name else self.random.sample(sorted(self.record.hidden), k=min(1, len(self.record.hidden)))
        for gone in names:
            self.world.api.delete(SERVICES, ELSEWHERE, gone, "")
            self.record.hidden.pop(gone)

    def pin_to_hidden(self) -> None:
        """An exposure that holds an address is pinned to one that will be refused."""
        wishes = sorted(self.record.wishes.items())
        names = [n for n, wish in wishes if not wish.keys() & {"type", "share"} and n in self.record.held]
        if not names or not self.record.hidden:
            return
        name, holder = self.random.choice(names), self.random.choice(sorted(self.record.hidden))
        ports = [f"{self.random.randrange(1000, 1100)}:8080"]
        self.steps.change(name, {"module": "idle", "ports": ports, "address": self.record.hidden[holder]})
        self.record.counts["pins to an address that is held out of sight"] += 1

    # --- second writers ---

    def start_second(self) -> None:
        """Another process with the environment of the module's, and a disk of its own."""
        pid = self.world.local.part("module")["pid"]
        if not pid or self._second is not None:
            return
        process = Path(f"/proc/{pid}")
        arguments = (process / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        pairs = (entry.partition(b"=") for entry in (process / "environ").read_bytes().split(b"\0") if entry)
        environment = {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}
        folder = self.world.local.folder / f"second-{next(self._numbers)}"
        folder.mkdir()
        environment |= {"EDGE_EXPOSE_STATE_DIR": str(folder), "EDGE_EXPOSE_HTTP_ADDRESS": "127.0.0.1:0"}
        with (folder / "log").open("wb") as log:
            self._second = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log, cwd=folder)
        self.record.note(f"a second process, log {folder}/log, for every exposure")
        self.record.counts["second processes of the module"] += 1

    def stop_second(self) -> None:
        """The first may only read by now, and says that it has to be started again: so it is."""
        if self._second is None:
            return
        self._second.send_signal(self.random.choice([signal.SIGKILL, signal.SIGTERM]))
        self._second.wait(20)
        self._second = None
        self.steps.kill("module")

    def fight(self) -> None:
        """A script writes a declared field of one Service all the time, for a few seconds."""
        ours = self.steps.ours()
        if ours:
            service = self.random.choice(ours)["metadata"]["name"]
            spec = self.random.choice([{"selector": {"app": "theirs"}}, {"sessionAffinity": "ClientIP"}])
            thread = threading.Thread(target=self._fight, args=(self.world.new_api(), service, spec), daemon=True)
            self._fights.append(thread)
            thread.start()
            self.record.note(f"fight over {service} {spec}")
            self.record.counts["fights over a field"] += 1

    def _fight(self, api: KubernetesApi, name: str, spec: dict[str, Any]) -> None:
        ends, repairs = time.monotonic() + FIGHT_SECONDS, -1
        while time.monotonic() < ends:
            try:
                found = api.get(SERVICES, NAMESPACE, name)["spec"]
                if _after(found, spec) != found:
                    repairs += 1
                    api.patch(SERVICES, NAMESPACE, name, {"spec": spec})
            except ClusterError:
                pass
            time.sleep(0.01)
        self.record.note(f"fight over {name}: {repairs} repairs")
        if repairs > MOST_REPAIRS:
            self.record.violations.append(f"{name}: repaired {repairs} times in {FIGHT_SECONDS:.0f} s")

    # --- the identity ---

    def make_identity_again(self) -> None:
        """Deleted and made again with the same id, another key and the whole document; a hub that is away is waited
        for, since half of this would be another story."""
        keys = [base64.b64encode(self.random.randbytes(32)).decode() for _ in range(2)]
        document = {"schemaVersion": "1.0", "exposures": self.record.wishes}
        desired = Twin(properties=TwinProperties(desired=document))
        self.record.note("identity made again, for every exposure")
        self._insist(lambda: self.steps.hub.delete_module(NAMESPACE, "edge-expose"), done=404)
        create = self.steps.hub.create_module_with_sas
        self._insist(lambda: create(NAMESPACE, "edge-expose", "iotEdge", *keys), done=409)
        self._insist(lambda: self.steps.hub.update_module_twin(NAMESPACE, "edge-expose", desired, "*"))
        self.record.counts["identity deleted and made again"] += 1

    @staticmethod
    def _insist(call: Any, done: int = 0) -> None:
        ends = time.monotonic() + _HUB_SECONDS
        while True:
            try:
                call()
                return
            except Exception as error:  # the service SDK's own kinds
                if getattr(getattr(error, "response", None), "status_code", None) == done:
                    return
                if time.monotonic() > ends:
                    raise
                time.sleep(0.1)

    # --- a pause ---

    def calm_down(self) -> None:
        """Everything that goes on by itself ends. A configuration that is rejected may stand over a pause, unless
        MetalLB was started anew since the last one: it may know no other, also where it was killed before that was
        written, and was still starting."""
        if self.world.proxy is not None:
            self.world.proxy.mode = "plain"
        self.stop_second()
        for fight in self._fights:
            fight.join()
        self._fights.clear()
        if self.steps.kills or self.random.random() < 0.5:
            self.world.extra.pop("broken", None)
        self.world.set_pools()
        self.forget_illegal()
        self.steps.kills = 0

    def end(self) -> None:
        """Leaves no process behind."""
        if self._second is not None:
            self._second.kill()
            self._second.wait(20)


def _after(spec: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """A Service's spec after this merge patch."""
    merged = {key: {**spec.get(key, {}), **value} if isinstance(value, dict) else value for key, value in patch.items()}
    return {**spec, **merged}
