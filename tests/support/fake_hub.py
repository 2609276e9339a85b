"""An IoT Hub in memory that behaves: etags, If-Match, merge patches, set modules, immutable deployments.

Fulfils `edge_expose_cloud.hub.api.Hub`; agrees with the local hub on what tests/functional/test_cloud_hub.py checks.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edge_expose_cloud.hub.api import Deployment, HubError, HubProblem, MethodResult, Twin
from edge_expose_cloud.manifest.checks import desired_sections
from edge_expose_contract.merging import merged, same_json


@dataclass
class FakeHub:
    """`before(call)` runs first in every call and may raise or meddle: that is how tests make the world move."""

    host: str = "hub.test"
    twins: dict[tuple[str, str | None], Twin] = field(default_factory=dict)
    configurations: dict[str, Deployment] = field(default_factory=dict)
    targets: dict[str, set[str]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    before: Callable[[str], None] | None = None
    matching: dict[str, list[str]] = field(default_factory=dict)
    methods: dict[tuple[str, str, str], Callable[[Any], MethodResult]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    # -- making the world --

    def add_device(self, device_id: str) -> None:
        for module in (None, "$edgeAgent", "$edgeHub"):
            self.twins[device_id, module] = Twin(device_id, module, self._etag(), desired_version=1)

    def add_module(
        self, device_id: str, module_id: str, desired: dict[str, Any], reported: dict[str, Any] | None = None
    ) -> None:
        self.twins[device_id, module_id] = Twin(
            device_id, module_id, self._etag(), desired, reported or {}, desired_version=1
        )

    def report(self, device_id: str, module_id: str, reported: dict[str, Any]) -> None:
        twin = self.twins[device_id, module_id]
        self.twins[device_id, module_id] = replace(twin, reported=reported, reported_version=twin.reported_version + 1)

    def target(self, deployment_id: str, *devices: str) -> None:
        for device in devices:
            twin = self.twins[device, "$edgeAgent"]
            self.twins[device, "$edgeAgent"] = replace(
                twin, configurations={**twin.configurations, deployment_id: {"status": "Applied"}}
            )

    def touch(self, device_id: str, module_id: str | None = None) -> None:
        """Somebody else writes."""
        self.twins[device_id, module_id] = replace(self.twins[device_id, module_id], etag=self._etag())

    # -- Hub --

    def device_twin(self, device_id: str) -> Twin | None:
        self._enter("device_twin")
        return self.twins.get((device_id, None))

    def module_twin(self, device_id: str, module_id: str) -> Twin | None:
        self._enter("module_twin")
        return self.twins.get((device_id, module_id))

    def module_twins(self, module_id: str) -> list[Twin]:
        self._enter("module_twins")
        return [twin for (_, module), twin in sorted(self.twins.items(), key=str) if module == module_id]

    def module_twins_page(self, module_id: str, token: str | None) -> tuple[list[Twin], str | None]:
        self._enter("module_twins_page")
        return self._page(
            [twin for (_, module), twin in sorted(self.twins.items(), key=str) if module == module_id], token
        )

    def edge_devices_page(self, token: str | None) -> tuple[list[Twin], str | None]:
        self._enter("edge_devices_page")
        return self._page([twin for (_, module), twin in sorted(self.twins.items(), key=str) if module is None], token)

    @staticmethod
    def _page(twins: list[Twin], token: str | None) -> tuple[list[Twin], str | None]:
        start = int(token or 0)
        return twins[start : start + 100], str(start + 100) if len(twins) > start + 100 else None

    def each_module_twin(self, module_id: str) -> Iterator[Twin]:
        return iter(self.module_twins(module_id))

    def unconverged(self, module_id: str, limit: int) -> list[Twin]:
        self._enter("unconverged")
        return self._unconverged(module_id)[:limit]

    def count_unconverged(self, module_id: str) -> int:
        self._enter("count_unconverged")
        return len(self._unconverged(module_id))

    def _unconverged(self, module_id: str) -> list[Twin]:
        found = []
        for (_, module), twin in sorted(self.twins.items(), key=str):
            report = twin.reported
            behind = report.get("lastDesiredVersion") != twin.desired_version
            refused = report.get("lastDesiredStatus", {}).get("code", 200) != 200
            if module == module_id and (behind or refused or report.get("summary", {}).get("notReady", 0) > 0):
                found.append(twin)
        return found

    def targeted_devices(self, deployment_ids: Iterable[str]) -> list[str]:
        self._enter("targeted_devices")
        ids = set(deployment_ids)
        return sorted(
            device
            for (device, module), twin in self.twins.items()
            if module == "$edgeAgent" and ids & twin.configurations.keys()
        )

    def devices_matching(self, condition: str) -> list[str]:
        self._enter("devices_matching")
        return sorted(self.matching.get(condition, ()))

    def module_ids(self, device_id: str) -> list[str]:
        self._enter("module_ids")
        if (device_id, None) not in self.twins:
            raise HubError(HubProblem.UNAUTHORIZED, f"listing the modules of {device_id}: the hub answered 401")
        return sorted(module for device, module in self.twins if device == device_id and module)

    def patch_module_twin(self, device_id: str, module_id: str, desired: Mapping[str, Any], etag: str) -> Twin:
        self._enter("patch_module_twin")
        twin = self._match(device_id, module_id, etag)
        return self._desire(twin, merged(twin.desired, desired))

    def patch_device_tags(self, device_id: str, tags: Mapping[str, Any], etag: str) -> Twin:
        self._enter("patch_device_tags")
        twin = self._match(device_id, None, etag)
        self.twins[device_id, None] = replace(twin, tags=merged(twin.tags, tags), etag=self._etag())
        return self.twins[device_id, None]

    def apply_content(
        self, device_id: str, modules_content: Mapping[str, Any], ready: Callable[[], None] = lambda: None
    ) -> None:
        self._enter("apply_content")
        ready()
        if (device_id, None) not in self.twins:
            raise HubError(HubProblem.NOT_FOUND, "no such device")
        for module, desired in desired_sections(modules_content).items():
            twin = self.twins.get((device_id, module)) or Twin(device_id, module, self._etag())
            self._desire(twin, copy.deepcopy(desired))
        agent = modules_content.get("$edgeAgent", {}).get("properties.desired", {})
        for module in agent.get("modules", {}):
            self.twins.setdefault((device_id, module), Twin(device_id, module, self._etag(), desired_version=1))

    def deployments(self) -> list[Deployment]:
        self._enter("deployments")
        return list(self.configurations.values())

    def create_deployment(self, deployment: Deployment) -> Deployment:
        self._enter("create_deployment")
        if deployment.id in self.configurations:
            raise HubError(HubProblem.CONFLICT, "it exists")
        made = replace(deployment, etag=self._etag(), created=f"{next(self._numbers):06d}")
        self.configurations[deployment.id] = made
        return made

    def update_deployment(self, deployment: Deployment) -> Deployment:
        self._enter("update_deployment")
        old = self.configurations.get(deployment.id)
        if old is None:
            raise HubError(HubProblem.NOT_FOUND, "no such deployment")
        if deployment.etag and deployment.etag != old.etag:
            raise HubError(HubProblem.PRECONDITION, "the etag is stale")
        made = replace(deployment, content=old.content, etag=self._etag(), created=old.created)
        self.configurations[deployment.id] = made
        return made

    def delete_deployment(self, deployment_id: str) -> None:
        self._enter("delete_deployment")
        self.configurations.pop(deployment_id, None)

    def invoke(self, device_id: str, module_id: str, method: str, payload: Any, timeout: int = 30) -> MethodResult:
        self._enter("invoke")
        answer = self.methods.get((device_id, module_id, method))
        if answer is None:
            raise HubError(HubProblem.OFFLINE, "nobody listens")
        return answer(payload)

    # -- inside --

    def _enter(self, call: str) -> None:
        self.calls.append(call)
        if self.before is not None:
            self.before(call)

    def _match(self, device_id: str, module_id: str | None, etag: str) -> Twin:
        twin = self.twins.get((device_id, module_id))
        if twin is None:
            raise HubError(HubProblem.NOT_FOUND, "no such twin")
        if etag not in ("*", twin.etag):
            raise HubError(HubProblem.PRECONDITION, "the etag is stale")
        return twin

    def _desire(self, twin: Twin, desired: dict[str, Any]) -> Twin:
        if not same_json(twin.desired, desired) or twin.desired_version == 0:
            twin = replace(twin, desired=desired, desired_version=twin.desired_version + 1, etag=self._etag())
        self.twins[twin.device_id, twin.module_id] = twin
        return twin

    def _etag(self) -> str:
        return f"E{next(self._numbers)}"
