"""The load balancer's configuration: read when it changes, judged, and said where MetalLB says it.

One that is rejected is not taken: the one before stays in force. 0.16 keeps a ConfigurationState object of what it
makes of its pools; 0.10 writes a log line only, and looks at what it rejected again when the ConfigMap changes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..kinds.errors import ApiError, Document
from ..objects.prepare import now
from ..objects.registry import Registry
from .answers import Answers, Refused
from .legacy_config import parse_config_map
from .pools import Pools, parse_objects

NAMESPACE: Final = "metallb-system"
_STATE: Final = "controller"
_LABELS: Final = {"metallb.io/component-type": "controller"}
#: a configuration that was accepted, as the recordings know it
_SOUND: Final = "element-host-bits"


class Configuration:
    """`error` is what is wrong with the one that is written now, empty when it is in force."""

    def __init__(self, registry: Registry, answers: Answers) -> None:
        self._registry = registry
        self._store = registry.store
        self._answers = answers
        self._legacy = not registry.profile.crd_pools
        self._seen: object = None
        self.error = ""
        self.in_force: Pools | None = None

    def forget(self) -> None:
        """As after a restart."""
        self._seen, self.in_force, self.error = None, None, ""

    def read(self, take: Callable[[Pools], None]) -> bool:
        """Look whether something else is written now; tell whether other pools are in force. `take` may refuse."""
        written = self._written()
        if written == self._seen:
            return False
        self._seen = written
        try:
            pools = self._parsed(written)
            if pools != self.in_force:
                take(pools)
        except Refused as refused:
            self._say(refused.situation, refused.values)
            return False
        self._say(_SOUND, {})
        changed, self.in_force = pools != self.in_force, pools
        return changed

    def _written(self) -> Any:
        if self._legacy:
            found = self._store.get("configmaps", NAMESPACE, "config")
            return None if found is None else (found.get("data") or {}).get("config", "")
        objects = self._store.all("ipaddresspools.metallb.io", NAMESPACE)
        namespaces = {n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in self._store.all("namespaces")}
        return [{"metadata": {"name": o["metadata"]["name"]}, "spec": o.get("spec")} for o in objects], namespaces

    def _parsed(self, written: Any) -> Pools:
        if not self._legacy:
            return parse_objects(*written)
        if written is None:
            raise Refused("no-configuration")
        return parse_config_map(written)

    # -- what is said of it -------------------------------------------------------------------------

    def _say(self, situation: str, values: Mapping[str, object]) -> None:
        """In the log, and from 0.16 on in the object."""
        rejected = situation != _SOUND
        self.error = self._answers.text(situation, **values) if rejected else ""
        for line in self._answers.says(situation, "log", values):
            print(json.dumps(line), file=sys.stderr, flush=True)
        if not self._legacy:
            self._keep_state(self._answers.says(situation, "configurationState", values))

    def _keep_state(self, status: Document) -> None:
        resource = self._registry.resource("configurationstates", "metallb.io")
        conditions = [{**one, "lastTransitionTime": now()} for one in status["conditions"]]
        try:
            found = self._store.get(resource.storage, NAMESPACE, _STATE)
            if found is None:
                body = {"metadata": {"name": _STATE, "labels": dict(_LABELS)}}
                found = self._registry.create(resource, NAMESPACE, body)
            wanted = {**found, "status": {**status, "conditions": conditions}}
            self._registry.update(resource, NAMESPACE, _STATE, wanted, subresource="status")
        except ApiError as error:  # the namespace may be on its way out
            print(f"load balancer: {_STATE} is not written: {error}", file=sys.stderr, flush=True)
