"""The one adapter over azure-iot-hub. Imported only when a hub is really called: the SDK's start-up is slow.

Traps handled here: configuration etags must be quoted by us; 429 comes without Retry-After and PATCH/POST are never
retried by the SDK; a private CA is set on both managers; rows of a query arrive as Twin models.
"""

from __future__ import annotations

import json
import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from azure.iot.hub import IoTHubConfigurationManager, IoTHubRegistryManager
from azure.iot.hub.models import (
    CloudToDeviceMethod,
    Configuration,
    ConfigurationContent,
    ConfigurationMetrics,
    QuerySpecification,
)

from edge_expose_cloud.adapters.iothub_errors import scrub, translate
from edge_expose_cloud.hub import (
    Deployment,
    HubError,
    HubProblem,
    Json,
    MethodResult,
    Twin,
    merge_patch,
    merged,
    without_hub_keys,
)

T = TypeVar("T")
# The pool's own lines about its retries would only repeat what our errors say.
logging.getLogger("urllib3").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Patience:
    """How a throttled or failing call is repeated. The hub sends no Retry-After; it asks for 10 seconds in words."""

    attempts: int = 5
    first_pause: float = 10.0
    longest_pause: float = 60.0
    server_error_pause: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def pause(self, attempt: int, problem: HubProblem) -> float:
        base = self.first_pause if problem is HubProblem.THROTTLED else self.server_error_pause
        full = min(self.longest_pause, base * 2**attempt)
        return float(full * (0.75 + 0.5 * self.jitter()))


@dataclass(frozen=True, slots=True)
class Credentials:
    """Either a connection string, or a host with Microsoft Entra ID. `ca_file` is a PEM bundle for a private CA."""

    connection_string: str | None = None
    host: str | None = None
    ca_file: str | None = None


class IotHub:
    """Fulfils `edge_expose_cloud.hub.Hub` over the service SDK."""

    def __init__(self, credentials: Credentials, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._registry, self._configurations, self._host = _managers(credentials)

    @property
    def host(self) -> str:
        return self._host

    # -- twins --

    def device_twin(self, device_id: str) -> Twin | None:
        return self._find(lambda: _twin(self._registry.get_twin(device_id)), f"reading the twin of {device_id}")

    def module_twin(self, device_id: str, module_id: str) -> Twin | None:
        return self._find(
            lambda: _twin(self._registry.get_module_twin(device_id, module_id)),
            f"reading the twin of {device_id}/{module_id}",
        )

    def module_twins(self, module_id: str) -> list[Twin]:
        literal = module_id.replace("'", "''")
        query = f"SELECT * FROM devices.modules WHERE moduleId = '{literal}'"  # noqa: S608 (quotes are doubled above)
        return [_twin(row) for row in self._query(query)]

    def module_twins_page(self, module_id: str, token: str | None) -> tuple[list[Twin], str | None]:
        literal = module_id.replace("'", "''")
        query = f"SELECT * FROM devices.modules WHERE moduleId = '{literal}'"  # noqa: S608 (quotes are doubled above)
        rows, following = self._query_page(query, token)
        return [_twin(row) for row in rows], following

    def edge_devices_page(self, token: str | None) -> tuple[list[Twin], str | None]:
        rows, following = self._query_page("SELECT * FROM devices WHERE capabilities.iotEdge = true", token)
        return [_twin(row) for row in rows], following

    def module_ids(self, device_id: str) -> list[str]:
        found = self._find(lambda: self._registry.get_modules(device_id), f"listing the modules of {device_id}")
        return sorted(module.module_id for module in found or [])

    def patch_module_twin(self, device_id: str, module_id: str, desired: Mapping[str, Any], etag: str) -> Twin:
        what = f"patching the twin of {device_id}/{module_id}"
        body = {"properties": {"desired": dict(desired)}}
        return self._write_twin(
            lambda: _twin(self._registry.update_module_twin(device_id, module_id, body, etag)),
            lambda: self.module_twin(device_id, module_id),
            lambda twin: not merge_patch(twin.desired, merged(twin.desired, desired)),
            what,
        )

    def patch_device_tags(self, device_id: str, tags: Mapping[str, Any], etag: str) -> Twin:
        body = {"tags": dict(tags)}
        return self._write_twin(
            lambda: _twin(self._registry.update_twin(device_id, body, etag)),
            lambda: self.device_twin(device_id),
            lambda twin: not merge_patch(twin.tags, merged(twin.tags, tags)),
            f"patching the tags of {device_id}",
        )

    # -- set modules and deployments --

    def apply_content(self, device_id: str, modules_content: Mapping[str, Any]) -> None:
        content = ConfigurationContent(modules_content=dict(modules_content))
        self._call(
            lambda: self._configurations.apply_configuration_on_edge_device(device_id, content),
            f"setting the modules of {device_id}",
        )

    def deployments(self) -> list[Deployment]:
        found = self._call(lambda: self._configurations.get_configurations(100), "listing the deployments")
        return [_deployment(item) for item in found or [] if item.content is not None]

    def create_deployment(self, deployment: Deployment) -> Deployment:
        return _deployment(
            self._call(
                lambda: self._configurations.create_configuration(_configuration(deployment)),
                f"creating the deployment {deployment.id}",
                retry_5xx=False,
            )
        )

    def update_deployment(self, deployment: Deployment) -> Deployment:
        # The SDK sends the etag as given, and the hub misreads a bare one: it must be quoted here.
        quoted = f'"{deployment.etag}"' if deployment.etag else "*"
        return _deployment(
            self._call(
                lambda: self._configurations.update_configuration(_configuration(deployment), quoted),
                f"updating the deployment {deployment.id}",
                retry_5xx=False,
            )
        )

    def delete_deployment(self, deployment_id: str) -> None:
        self._find(
            lambda: self._configurations.delete_configuration(deployment_id), f"deleting the deployment {deployment_id}"
        )

    def invoke(self, device_id: str, module_id: str, method: str, payload: Any, timeout: int = 30) -> MethodResult:
        request = CloudToDeviceMethod(
            method_name=method,
            payload=payload,
            response_timeout_in_seconds=timeout,
            connect_timeout_in_seconds=min(timeout, 10),
        )
        connection = self._registry.protocol.config.connection
        connection.timeout = max(connection.timeout, timeout + 30)
        result = self._call(
            lambda: self._registry.invoke_device_module_method(device_id, module_id, request),
            f"calling {method} on {device_id}/{module_id}",
            retry_5xx=False,
        )
        return MethodResult(int(result.status), result.payload)

    # -- calling --

    def _query(self, text: str) -> list[Any]:
        rows: list[Any] = []
        token: str | None = None
        while True:
            found, token = self._query_page(text, token)
            rows.extend(found)
            if not token:
                return rows

    def _query_page(self, text: str, token: str | None) -> tuple[list[Any], str | None]:
        result = self._call(
            lambda: self._registry.query_iot_hub(QuerySpecification(query=text), token, 100), "querying the hub"
        )
        return list(result.items or []), result.continuation_token or None

    def _find(self, call: Callable[[], T], what: str) -> T | None:
        try:
            return self._call(call, what)
        except HubError as error:
            if error.problem is HubProblem.NOT_FOUND:
                return None
            raise

    def _write_twin(
        self, write: Callable[[], Twin], read: Callable[[], Twin | None], done: Callable[[Twin], bool], what: str
    ) -> Twin:
        """A write that failed with a server error may have been done: then the repeated one meets its own new etag."""
        perhaps_done = False

        def attempt() -> Twin:
            nonlocal perhaps_done
            try:
                return write()
            except Exception as error:
                if perhaps_done and _status(error) == 412:
                    twin = read()
                    if twin is not None and done(twin):
                        return twin
                perhaps_done = perhaps_done or _status(error) >= 500
                raise

        return self._call(attempt, what)

    def _call(self, call: Callable[[], T], what: str, *, retry_5xx: bool = True) -> T:
        attempt = 0
        while True:
            try:
                return call()
            except HubError:
                raise
            except Exception as raised:
                error = translate(raised, what)
                attempt += 1
                again = error.problem is HubProblem.THROTTLED or (retry_5xx and _status(raised) >= 500)
                if not again or attempt >= self._patience.attempts:
                    raise error from raised
                self._patience.sleep(self._patience.pause(attempt - 1, error.problem))


def _status(error: Exception) -> int:
    """The HTTP status of an SDK error, 0 when there was no answer."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return status if isinstance(status, int) else 0


def _managers(credentials: Credentials) -> tuple[Any, Any, str]:
    try:
        if credentials.connection_string is not None:
            registry = IoTHubRegistryManager.from_connection_string(credentials.connection_string)
            configurations = IoTHubConfigurationManager.from_connection_string(credentials.connection_string)
            host = str(configurations.auth["HostName"])
        else:
            from azure.identity import DefaultAzureCredential

            host = credentials.host or ""
            credential = DefaultAzureCredential()
            registry = IoTHubRegistryManager.from_token_credential(host, credential)
            configurations = IoTHubConfigurationManager.from_token_credential(host, credential)
    except (KeyError, ValueError) as error:
        # The SDK's own text may repeat the string it was given.
        raise HubError(
            HubProblem.INVALID,
            "the connection string cannot be read",
            hint="it looks like HostName=...;SharedAccessKeyName=...;SharedAccessKey=...",
        ) from error
    if credentials.ca_file:
        if not os.path.isfile(credentials.ca_file):
            raise HubError(
                HubProblem.UNREACHABLE,
                f"the CA file {credentials.ca_file} does not exist",
                hint="check EDGE_EXPOSE_HUB_CA",
            )
        for manager in (registry, configurations):
            manager.protocol.config.connection.verify = credentials.ca_file
    return registry, configurations, host


def _twin(model: Any) -> Twin:
    if model is None:
        raise HubError(HubProblem.UNEXPECTED, "the hub answered with an empty twin")
    properties = model.properties
    desired = dict(properties.desired or {}) if properties is not None else {}
    reported = dict(properties.reported or {}) if properties is not None else {}
    extra = model.additional_properties or {}
    return Twin(
        device_id=str(model.device_id or ""),
        module_id=model.module_id,
        etag=str(model.etag or ""),
        desired=without_hub_keys(desired),
        reported=without_hub_keys(reported),
        tags=dict(model.tags or {}),
        desired_version=_number(desired.get("$version")),
        reported_version=_number(reported.get("$version")),
        connection_state=str(model.connection_state or ""),
        configurations=dict(extra.get("configurations") or {}),
        desired_metadata=dict(desired.get("$metadata") or {}),
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _deployment(model: Any) -> Deployment:
    content: Json = {}
    source = model.content
    if source is not None:
        for attribute, key in (("modules_content", "modulesContent"), ("device_content", "deviceContent")):
            value = getattr(source, attribute, None)
            if value:
                content[key] = json.loads(json.dumps(value))
    metrics = model.metrics
    system = model.system_metrics
    return Deployment(
        id=str(model.id),
        content=content,
        target_condition=str(model.target_condition or ""),
        priority=int(model.priority or 0),
        labels=dict(model.labels or {}),
        metric_queries=dict((metrics.queries if metrics else None) or {}),
        metric_results={key: int(value) for key, value in ((metrics.results if metrics else None) or {}).items()},
        system_results={key: int(value) for key, value in ((system.results if system else None) or {}).items()},
        etag=str(model.etag or "").strip('"'),
        created=str(model.created_time_utc or ""),
    )


def _configuration(deployment: Deployment) -> Any:
    return Configuration(
        id=deployment.id,
        schema_version="2.0",
        labels=deployment.labels,
        content=ConfigurationContent(modules_content=deployment.modules_content),
        target_condition=deployment.target_condition,
        priority=deployment.priority,
        metrics=ConfigurationMetrics(results={}, queries=deployment.metric_queries),
        etag=deployment.etag or None,
    )


__all__ = ["Credentials", "IotHub", "Patience", "scrub"]
