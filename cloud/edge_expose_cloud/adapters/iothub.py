"""The one adapter over azure-iot-hub. Imported only when a hub is really called: the SDK's start-up is slow.

Traps handled here: configuration etags must be quoted by us; 429 comes without Retry-After and PATCH/POST are never
retried by the SDK; a private CA is set on both managers; rows of a query arrive as Twin models.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from azure.iot.hub import IoTHubConfigurationManager, IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, ConfigurationContent, QuerySpecification

from edge_expose_cloud.adapters.iothub_errors import scrub, translate
from edge_expose_cloud.adapters.iothub_models import configuration_of, deployment_of, twin_of
from edge_expose_cloud.adapters.iothub_pacing import Operation, Pace, Patience
from edge_expose_cloud.hub.api import Deployment, HubError, HubProblem, MethodResult, Twin
from edge_expose_contract.merging import merge_patch, merged, same_json

T = TypeVar("T")
# The pool's own lines about its retries would only repeat what our errors say.
logging.getLogger("urllib3").setLevel(logging.ERROR)
logging.getLogger("azure.identity").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Either a connection string, or a host with Microsoft Entra ID. `ca_file` is a PEM bundle for a private CA."""

    connection_string: str | None = None
    host: str | None = None
    ca_file: str | None = None


class IotHub:
    """Fulfils `edge_expose_cloud.hub.api.Hub` over the service SDK."""

    def __init__(self, credentials: Credentials, patience: Patience | None = None, pace: Pace | None = None) -> None:
        self._patience = patience or Patience()
        self._pace = pace or Pace()
        self._registry, self._configurations, self._host = _managers(credentials)

    @property
    def host(self) -> str:
        return self._host

    # -- twins --

    def device_twin(self, device_id: str) -> Twin | None:
        what = f"reading the twin of {device_id}"
        return self._find(lambda: twin_of(self._registry.get_twin(device_id)), "TwinRead", what)

    def module_twin(self, device_id: str, module_id: str) -> Twin | None:
        return self._find(
            lambda: twin_of(self._registry.get_module_twin(device_id, module_id)),
            "TwinRead",
            f"reading the twin of {device_id}/{module_id}",
        )

    def module_twins(self, module_id: str) -> list[Twin]:
        return list(self.each_module_twin(module_id))

    def module_twins_page(self, module_id: str, token: str | None) -> tuple[list[Twin], str | None]:
        rows, following = self._page(f"SELECT * FROM devices.modules WHERE {_module_is(module_id)}", token, _PAGE)  # noqa: S608
        return [twin_of(row) for row in rows], following

    def edge_devices_page(self, token: str | None) -> tuple[list[Twin], str | None]:
        rows, following = self._page("SELECT * FROM devices WHERE capabilities.iotEdge = true", token, _PAGE)
        return [twin_of(row) for row in rows], following

    def each_module_twin(self, module_id: str) -> Iterator[Twin]:
        return map(twin_of, self._query(f"SELECT * FROM devices.modules WHERE {_module_is(module_id)}"))  # noqa: S608

    def unconverged(self, module_id: str, limit: int) -> list[Twin]:
        query = f"SELECT * FROM devices.modules WHERE {_module_is(module_id)} AND {_UNCONVERGED}"  # noqa: S608
        return [twin_of(row) for row in self._page(query, None, limit)[0]]

    def count_unconverged(self, module_id: str) -> int:
        query = f"SELECT COUNT() AS n FROM devices.modules WHERE {_module_is(module_id)} AND {_UNCONVERGED}"  # noqa: S608
        rows, _ = self._page(query, None, 1)
        return int((rows[0].additional_properties or {}).get("n", 0)) if rows else 0

    def targeted_devices(self, deployment_ids: Iterable[str]) -> list[str]:
        paths = [f"configurations.[[{name}]].status" for name in sorted(deployment_ids)]
        if not paths:
            return []
        wanted = " OR ".join(f"{path} = '{status}'" for path in paths for status in ("Targeted", "Applied"))
        query = f"SELECT deviceId FROM devices.modules WHERE {_module_is('$edgeAgent')} AND ({wanted})"  # noqa: S608
        return sorted({str(row.device_id) for row in self._query(query)})

    def devices_matching(self, condition: str) -> list[str]:
        if not condition.strip():
            return []
        where = "" if condition.strip() == "*" else f" AND ({condition})"
        query = f"SELECT deviceId FROM devices WHERE capabilities.iotEdge = true{where}"  # noqa: S608
        return sorted({str(row.device_id) for row in self._query(query)})

    def module_ids(self, device_id: str) -> list[str]:
        what = f"listing the modules of {device_id}"
        found = self._find(lambda: self._registry.get_modules(device_id), "IdentityRegistry", what)
        return sorted(module.module_id for module in found or [])

    def patch_module_twin(self, device_id: str, module_id: str, desired: Mapping[str, Any], etag: str) -> Twin:
        what = f"patching the twin of {device_id}/{module_id}"
        body = {"properties": {"desired": dict(desired)}}
        return self._write_twin(
            lambda: twin_of(self._registry.update_module_twin(device_id, module_id, body, etag)),
            lambda: self.module_twin(device_id, module_id),
            lambda twin: not merge_patch(twin.desired, merged(twin.desired, desired)),
            what,
        )

    def patch_device_tags(self, device_id: str, tags: Mapping[str, Any], etag: str) -> Twin:
        body = {"tags": dict(tags)}
        return self._write_twin(
            lambda: twin_of(self._registry.update_twin(device_id, body, etag)),
            lambda: self.device_twin(device_id),
            lambda twin: not merge_patch(twin.tags, merged(twin.tags, tags)),
            f"patching the tags of {device_id}",
        )

    # -- set modules and deployments --

    def apply_content(
        self, device_id: str, modules_content: Mapping[str, Any], ready: Callable[[], None] = lambda: None
    ) -> None:
        content = ConfigurationContent(modules_content=dict(modules_content))
        self._call(
            lambda: self._configurations.apply_configuration_on_edge_device(device_id, content),
            "Configuration",
            f"setting the modules of {device_id}",
            ready=ready,
        )

    def deployments(self) -> list[Deployment]:
        found = self._call(
            lambda: self._configurations.get_configurations(100), "Configuration", "listing the deployments"
        )
        return [deployment_of(item) for item in found or [] if item.content is not None]

    def create_deployment(self, deployment: Deployment) -> Deployment:
        return self._write_deployment(
            lambda: self._configurations.create_configuration(configuration_of(deployment)),
            deployment,
            f"creating the deployment {deployment.id}",
        )

    def update_deployment(self, deployment: Deployment) -> Deployment:
        # The SDK sends the etag as given, and the hub misreads a bare one: it must be quoted here.
        quoted = f'"{deployment.etag}"' if deployment.etag else "*"
        return self._write_deployment(
            lambda: self._configurations.update_configuration(configuration_of(deployment), quoted),
            deployment,
            f"updating the deployment {deployment.id}",
        )

    def _write_deployment(self, write: Callable[[], Any], wanted: Deployment, what: str) -> Deployment:
        """The SDK repeats a PUT after a 5xx: one that had been done then answers 409 or 412. So look what is there."""
        try:
            return deployment_of(self._call(write, "Configuration", what, retry_5xx=False))
        except HubError as error:
            if error.problem not in (HubProblem.CONFLICT, HubProblem.PRECONDITION):
                raise
            found = self._find(
                lambda: deployment_of(self._configurations.get_configuration(wanted.id)), "Configuration", what
            )
            if found is None or not _same_deployment(found, wanted):
                raise
            return found

    def delete_deployment(self, deployment_id: str) -> None:
        self._find(
            lambda: self._configurations.delete_configuration(deployment_id),
            "Configuration",
            f"deleting the deployment {deployment_id}",
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
            "Method",
            f"calling {method} on {device_id}/{module_id}",
            retry_5xx=False,
        )
        return MethodResult(int(result.status), result.payload)

    # -- calling --

    def _query(self, text: str) -> Iterator[Any]:
        """Row by row, page by page: a fleet is never in memory at once."""
        token: str | None = None
        while True:
            rows, token = self._page(text, token, _PAGE)
            yield from rows
            if not token:
                return

    def _page(self, text: str, token: str | None, size: int) -> tuple[list[Any], str | None]:
        def page() -> Any:
            return self._registry.query_iot_hub(QuerySpecification(query=text), token, size)

        result = self._call(page, "Query", "querying the hub")
        return list(result.items or []), result.continuation_token or None

    def _find(self, call: Callable[[], T], operation: Operation, what: str) -> T | None:
        try:
            return self._call(call, operation, what)
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

        return self._call(attempt, "TwinUpdate", what)

    def _call(
        self,
        call: Callable[[], T],
        operation: Operation,
        what: str,
        *,
        retry_5xx: bool = True,
        ready: Callable[[], None] = lambda: None,
    ) -> T:
        attempt = 0
        while True:
            self._pace.wait(operation)
            ready()
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


_PAGE = 100
_REPORT = "properties.reported"
_UNCONVERGED = (
    f"(NOT is_defined({_REPORT}.lastDesiredVersion) OR {_REPORT}.lastDesiredVersion != properties.desired.$version"
    f" OR {_REPORT}.lastDesiredStatus.code != 200 OR {_REPORT}.summary.notReady > 0)"
)


def _module_is(module_id: str) -> str:
    literal = module_id.replace("'", "''")
    return f"moduleId = '{literal}'"


def _same_deployment(found: Deployment, wanted: Deployment) -> bool:
    same = (found.target_condition, found.priority, found.labels) == (
        wanted.target_condition,
        wanted.priority,
        wanted.labels,
    )
    return same and same_json(found.content, wanted.content)


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
            try:
                registry = IoTHubRegistryManager.from_token_credential(host, credential)
                configurations = IoTHubConfigurationManager.from_token_credential(host, credential)
            except Exception as error:  # the SDK asks for a token at once
                raise translate(error, f"signing in to {host}") from error
    except (KeyError, ValueError) as error:
        # The SDK's own text may repeat the string it was given.
        raise HubError(
            HubProblem.INVALID,
            "the connection string cannot be read",
            hint="it looks like HostName=...;SharedAccessKeyName=...;SharedAccessKey=...",
        ) from error
    if credentials.ca_file:
        _check_ca_file(credentials.ca_file)
        for manager in (registry, configurations):
            manager.protocol.config.connection.verify = credentials.ca_file
    return registry, configurations, host


def _check_ca_file(path: str) -> None:
    hint = "EDGE_EXPOSE_HUB_CA names a PEM file with the certificates of a private CA"
    if not os.path.isfile(path):
        raise HubError(HubProblem.INVALID, f"the CA file {path} does not exist", hint=hint)
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        raise HubError(
            HubProblem.INVALID, f"the CA file {path} holds no certificate that can be read", hint=hint
        ) from error


__all__ = ["Credentials", "IotHub", "Pace", "Patience", "scrub"]
