"""The operations of the service API, one method per route: JSON in, status and JSON out."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from edge_expose_local.hub.deployments import configuration_service
from edge_expose_local.hub.device_api.messages import DeviceApi
from edge_expose_local.hub.errors import HubError, argument_invalid, bad_request, device_not_found
from edge_expose_local.hub.hub import Hub
from edge_expose_local.hub.records.identities import Identity, TwinKey
from edge_expose_local.hub.records.twins import Twin
from edge_expose_local.hub.registry import identity_service as registry
from edge_expose_local.hub.registry import twin_service
from edge_expose_local.hub.transport.http_server import Request, Response, json_response

JsonObject = dict[str, Any]
MAX_PAGE = 1000
MAX_METHOD_PAYLOAD = 128 * 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a policy name, or `device/module`."""

    name: str


@dataclass(frozen=True, slots=True)
class Route:
    """`pattern` segments in braces are arguments; `operation` is the throttling class."""

    method: str
    pattern: str
    handler: str
    right: str
    operation: str


_READ, _WRITE, _SERVICE = "RegistryRead", "RegistryWrite", "ServiceConnect"
ROUTES = [
    Route("GET", "devices", "list_devices", _READ, "IdentityRegistry"),
    Route("POST", "devices/query", "run_query", _SERVICE, "Query"),
    Route("POST", "devices", "bulk", _WRITE, "IdentityRegistry"),
    Route("GET", "devices/{d}", "get_identity", _READ, "IdentityRegistry"),
    Route("PUT", "devices/{d}", "put_identity", _WRITE, "IdentityRegistry"),
    Route("DELETE", "devices/{d}", "delete_identity", _WRITE, "IdentityRegistry"),
    Route("POST", "devices/{d}/applyConfigurationContent", "apply_content", _WRITE, "Configuration"),
    Route("GET", "devices/{d}/modules", "list_modules", _READ, "IdentityRegistry"),
    Route("GET", "devices/{d}/modules/{m}", "get_identity", _READ, "IdentityRegistry"),
    Route("PUT", "devices/{d}/modules/{m}", "put_identity", _WRITE, "IdentityRegistry"),
    Route("DELETE", "devices/{d}/modules/{m}", "delete_identity", _WRITE, "IdentityRegistry"),
    Route("GET", "twins/{d}", "get_twin", _SERVICE, "TwinRead"),
    Route("PATCH", "twins/{d}", "write_twin", _SERVICE, "TwinUpdate"),
    Route("PUT", "twins/{d}", "write_twin", _SERVICE, "TwinUpdate"),
    Route("POST", "twins/{d}/methods", "invoke_method", _SERVICE, "Method"),
    Route("GET", "twins/{d}/modules/{m}", "get_twin", _SERVICE, "TwinRead"),
    Route("PATCH", "twins/{d}/modules/{m}", "write_twin", _SERVICE, "TwinUpdate"),
    Route("PUT", "twins/{d}/modules/{m}", "write_twin", _SERVICE, "TwinUpdate"),
    Route("POST", "twins/{d}/modules/{m}/methods", "invoke_method", _SERVICE, "Method"),
    Route("GET", "configurations", "list_configurations", _READ, "Configuration"),
    Route("POST", "configurations/testQueries", "test_queries", _READ, "Configuration"),
    Route("GET", "configurations/{id}", "get_configuration", _READ, "Configuration"),
    Route("PUT", "configurations/{id}", "put_configuration", _WRITE, "Configuration"),
    Route("DELETE", "configurations/{id}", "delete_configuration", _WRITE, "Configuration"),
    Route("GET", "statistics/devices", "device_statistics", _READ, "IdentityRegistry"),
    Route("GET", "statistics/service", "service_statistics", _SERVICE, "IdentityRegistry"),
    *(
        Route(method, pattern, "not_offered", _SERVICE, "Jobs")
        for pattern in ("jobs", "jobs/{a}", "jobs/v2/{a}", "jobs/v2/{a}/cancel", "messages/{a}/{b}", "digitaltwins/{a}")
        for method in ("GET", "PUT", "POST", "PATCH", "DELETE")
    ),
]


def _match(pattern: str, segments: list[str]) -> list[str] | None:
    parts = pattern.split("/")
    if len(parts) != len(segments):
        return None
    arguments: list[str] = []
    for part, segment in zip(parts, segments, strict=True):
        if part.startswith("{"):
            arguments.append(segment)
        elif part.lower() != segment.lower():
            return None
    return arguments


def find_route(method: str, segments: list[str]) -> tuple[Route, list[str]] | str | None:
    """The route and its arguments, the allowed methods when only the method is wrong, or None."""
    allowed: list[str] = []
    for route in ROUTES:
        arguments = _match(route.pattern, segments)
        if arguments is not None:
            if route.method == method:
                return route, arguments
            allowed.append(route.method)
    return ", ".join(allowed) or None


def _body(request: Request) -> JsonObject:
    try:
        body = request.json()
    except ValueError as error:
        raise bad_request("the body is no JSON") from error
    if not isinstance(body, dict):
        raise bad_request("the body is not an object")
    return body


def _top(request: Request) -> int:
    text = request.query.get("top", str(MAX_PAGE))
    if not text.isdigit() or not int(text) > 0:
        raise argument_invalid(f"top '{text}' is not a number above 0")
    return min(int(text), MAX_PAGE)


def _seconds(body: JsonObject, name: str, default: int, low: int, high: int) -> int:
    """A timeout of a method call. Raises HubError 400 in the shape of those calls."""
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise argument_invalid(f"{name} must be within [{low}; {high}].", "nested")
    return value


class Operations:
    def __init__(self, hub: Hub, devices: DeviceApi) -> None:
        self._hub = hub
        self._state = hub.state
        self._devices = devices

    # -- identities ------------------------------------------------------------------------------------------------

    def _identity_answer(self, identity: Identity, status: int = 200) -> Response:
        return json_response(status, registry.view(self._state, identity), {"ETag": f'"{identity.etag}"'})

    async def get_identity(self, request: Request, caller: Caller, *ids: str) -> Response:
        return self._identity_answer(registry.get_identity(self._state, TwinKey(*ids)))

    async def put_identity(self, request: Request, caller: Caller, *ids: str) -> Response:
        key, if_match = TwinKey(*ids), request.headers.get("if-match")
        identity = registry.put_identity(self._state, key, _body(request), if_match)
        # The service answers 201 for a new module and 200 for everything else; the SDK insists on 200 for devices.
        return self._identity_answer(identity, 201 if key.module is not None and if_match is None else 200)

    async def delete_identity(self, request: Request, caller: Caller, *ids: str) -> Response:
        registry.delete_identity(self._state, TwinKey(*ids), request.headers.get("if-match"))
        return Response(204)

    async def list_devices(self, request: Request, caller: Caller) -> Response:
        devices = self._state.devices()[: _top(request)]
        return json_response(200, [registry.view(self._state, device) for device in devices])

    async def list_modules(self, request: Request, caller: Caller, device: str) -> Response:
        registry.usable_device(self._state, device)
        return json_response(200, [registry.view(self._state, item) for item in self._state.modules_of(device)])

    async def bulk(self, request: Request, caller: Caller) -> Response:
        try:
            entries = request.json()
        except ValueError as error:
            raise bad_request("the body is no JSON") from error
        if not isinstance(entries, list) or not 0 < len(entries) <= 100:
            raise argument_invalid("the body is a list of 1 to 100 entries")
        errors: list[JsonObject] = []
        for entry in entries:
            device = entry.get("id", "") if isinstance(entry, dict) else ""
            try:
                self._bulk_entry(entry if isinstance(entry, dict) else {})
            except HubError as error:
                errors.append({"deviceId": device, "errorCode": error.name, "errorStatus": error.text})
        answer = {"isSuccessful": not errors, "errors": errors, "warnings": []}
        return json_response(400 if errors else 200, answer)

    def _bulk_entry(self, entry: JsonObject) -> None:
        key = TwinKey(str(entry.get("id", "")), entry.get("moduleId"))
        etag = entry.get("eTag")
        match entry.get("importMode"):
            case "create":
                registry.put_identity(self._state, key, entry, None)
            case "update":
                registry.put_identity(self._state, key, entry, "*")
            case "updateIfMatchETag":
                registry.put_identity(self._state, key, entry, str(etag))
            case "createOrUpdate" | None:
                registry.put_identity(self._state, key, entry, "*" if key in self._state.identities else None)
            case "delete":
                registry.delete_identity(self._state, key, "*")
            case "deleteIfMatchETag":
                registry.delete_identity(self._state, key, str(etag))
            case other:
                raise argument_invalid(f"importMode '{other}' is not supported")

    async def device_statistics(self, request: Request, caller: Caller) -> Response:
        return json_response(200, registry.statistics(self._state))

    async def service_statistics(self, request: Request, caller: Caller) -> Response:
        count = sum(1 for item in self._state.devices() if self._state.connection_state(item.key) == "Connected")
        return json_response(200, {"connectedDeviceCount": count})

    # -- twins and methods -----------------------------------------------------------------------------------------

    def _twin_answer(self, key: TwinKey, twin: Twin) -> Response:
        return json_response(200, self._state.twin_view(key), {"ETag": f'"{twin.etag}"'})

    async def get_twin(self, request: Request, caller: Caller, *ids: str) -> Response:
        key = TwinKey(*ids)
        return self._twin_answer(key, twin_service.get_twin(self._state, key))

    async def write_twin(self, request: Request, caller: Caller, *ids: str) -> Response:
        key, if_match = TwinKey(*ids), request.headers.get("if-match")
        twin = twin_service.write_twin(self._state, key, _body(request), if_match, request.method == "PUT")
        self._hub.commit()  # before the answer is built: a deployment may follow from a changed tag
        return self._twin_answer(key, twin)

    async def invoke_method(self, request: Request, caller: Caller, *ids: str) -> Response:
        key, body = TwinKey(*ids), _body(request)
        if key not in self._state.identities:
            raise device_not_found(*ids)
        name = body.get("methodName")
        if not isinstance(name, str) or not name or not name.isascii() or len(name) > 100:
            raise argument_invalid("methodName is not a US-ASCII name of 1 to 100 characters", "nested")
        response_timeout = _seconds(body, "responseTimeoutInSeconds", 30, 5, 300)
        connect_timeout = _seconds(body, "connectTimeoutInSeconds", 0, 0, 300)
        if connect_timeout > response_timeout:
            raise argument_invalid("connectTimeoutInSeconds is larger than responseTimeoutInSeconds", "nested")
        payload = json.dumps(body.get("payload")).encode()
        if len(payload) > MAX_METHOD_PAYLOAD:
            raise HubError(413, "RequestEntityTooLarge", "the payload is larger than 128 KB", 413001)
        status, answer = await self._devices.invoke(key, name, payload, response_timeout, connect_timeout)
        return json_response(200, {"status": status, "payload": answer})

    # -- queries ---------------------------------------------------------------------------------------------------

    async def run_query(self, request: Request, caller: Caller) -> Response:
        text = _body(request).get("query")
        if not isinstance(text, str):
            raise bad_request("query is missing")
        size_text = request.headers.get("x-ms-max-item-count", "")
        if size_text and (not size_text.isdigit() or not int(size_text) > 0):
            raise bad_request("x-ms-max-item-count is not a number above 0")
        size = min(int(size_text or 100), MAX_PAGE)
        rows, whole = configuration_service.run_query(self._state, text)
        start = _page_start(request.headers.get("x-ms-continuation", ""), text)
        headers = {"x-ms-item-type": "Twin" if whole else "Raw"}
        if start + size < len(rows):
            headers["x-ms-continuation"] = _page_token(start + size, text)
        return json_response(200, rows[start : start + size], headers)

    # -- configurations --------------------------------------------------------------------------------------------

    async def list_configurations(self, request: Request, caller: Caller) -> Response:
        items = sorted(self._state.configurations.values(), key=lambda item: item.id)[: _top(request)]
        return json_response(200, [configuration_service.view(self._state, item) for item in items])

    async def get_configuration(self, request: Request, caller: Caller, identifier: str) -> Response:
        found = configuration_service.get_configuration(self._state, identifier)
        return json_response(200, configuration_service.view(self._state, found), {"ETag": f'"{found.etag}"'})

    async def put_configuration(self, request: Request, caller: Caller, identifier: str) -> Response:
        if_match = request.headers.get("if-match")
        found, is_new = configuration_service.put_configuration(self._state, identifier, _body(request), if_match)
        view = configuration_service.view(self._state, found)
        return json_response(201 if is_new else 200, view, {"ETag": f'"{found.etag}"'})

    async def delete_configuration(self, request: Request, caller: Caller, identifier: str) -> Response:
        configuration_service.delete_configuration(self._state, identifier, request.headers.get("if-match"))
        return Response(204)

    async def test_queries(self, request: Request, caller: Caller) -> Response:
        return json_response(200, configuration_service.test_queries(_body(request)))

    async def apply_content(self, request: Request, caller: Caller, device: str) -> Response:
        configuration_service.apply_content(self._state, device, _body(request))
        return Response(204)

    async def not_offered(self, request: Request, caller: Caller, *rest: str) -> Response:
        what: Literal["jobs", "messages", "digitaltwins"] | str = request.segments[0]
        raise HubError(501, "NotImplemented", f"the local hub offers no {what}; see its README", 501000)


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _page_token(start: int, text: str) -> str:
    return base64.b64encode(json.dumps([start, _fingerprint(text)]).encode()).decode()


def _page_start(token: str, text: str) -> int:
    if not token:
        return 0
    try:
        start, fingerprint = json.loads(base64.b64decode(token, validate=True))
    except (ValueError, TypeError) as error:
        raise bad_request("x-ms-continuation is not one of this hub's tokens") from error
    if fingerprint != _fingerprint(text) or not isinstance(start, int):
        raise bad_request("x-ms-continuation belongs to another query")
    return start
