"""The operations on identities, twins, queries and configurations, one method per route."""

from __future__ import annotations

from typing import Any

from edge_expose_local.http.messages import Request, Response, json_response
from edge_expose_local.hub.deployments import configuration_service, metrics, set_modules
from edge_expose_local.hub.device_api.messages import DeviceApi
from edge_expose_local.hub.errors import HubError, argument_invalid, bad_request, device_not_found
from edge_expose_local.hub.hub import Hub
from edge_expose_local.hub.records.identities import Identity, TwinKey
from edge_expose_local.hub.records.methods import read_method
from edge_expose_local.hub.records.twins import Twin
from edge_expose_local.hub.registry import identity_service as registry
from edge_expose_local.hub.registry import twin_service
from edge_expose_local.hub.service_api.paging import page, read_body, read_top
from edge_expose_local.hub.service_api.routes import Caller

JsonObject = dict[str, Any]


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
        identity = registry.put_identity(self._state, key, read_body(request), if_match)
        # The service answers 201 for a new module and 200 for everything else; the SDK insists on 200 for devices.
        return self._identity_answer(identity, 201 if key.module is not None and if_match is None else 200)

    async def delete_identity(self, request: Request, caller: Caller, *ids: str) -> Response:
        registry.delete_identity(self._state, TwinKey(*ids), request.headers.get("if-match"))
        return Response(204)

    async def list_devices(self, request: Request, caller: Caller) -> Response:
        devices = self._state.devices()[: read_top(request)]
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
        match str(entry.get("importMode") or "createOrUpdate").lower():  # clients write it with capitals, or without
            case "create":
                registry.put_identity(self._state, key, entry, None)
            case "update":
                registry.put_identity(self._state, key, entry, "*")
            case "updateifmatchetag":
                registry.put_identity(self._state, key, entry, str(etag))
            case "createorupdate":
                registry.put_identity(self._state, key, entry, "*" if key in self._state.identities else None)
            case "delete":
                registry.delete_identity(self._state, key, "*")
            case "deleteifmatchetag":
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
        twin = twin_service.write_twin(self._state, key, read_body(request), if_match, request.method == "PUT")
        self._hub.commit()  # before the answer is built: a deployment may follow from a changed tag
        return self._twin_answer(key, twin)

    async def invoke_method(self, request: Request, caller: Caller, *ids: str) -> Response:
        key, body = TwinKey(*ids), read_body(request)
        if key not in self._state.identities:
            raise device_not_found(*ids)
        asked = read_method(body)
        status, answer = await self._devices.invoke(
            key, asked.name, asked.payload, asked.response_timeout, asked.connect_timeout
        )
        return json_response(200, {"status": status, "payload": answer})

    # -- queries ---------------------------------------------------------------------------------------------------

    async def run_query(self, request: Request, caller: Caller) -> Response:
        text = read_body(request).get("query")
        if not isinstance(text, str):
            raise bad_request("query is missing")
        rows, item_type = metrics.run_query(self._state, text)
        return page(request, rows, item_type, text)

    # -- configurations --------------------------------------------------------------------------------------------

    async def list_configurations(self, request: Request, caller: Caller) -> Response:
        items = sorted(self._state.configurations.values(), key=lambda item: item.id)  # `top` is ignored, as measured
        return json_response(200, [metrics.view(self._state, item) for item in items])

    async def get_configuration(self, request: Request, caller: Caller, identifier: str) -> Response:
        found = configuration_service.get_configuration(self._state, identifier)
        return json_response(200, metrics.view(self._state, found), {"ETag": f'"{found.etag}"'})

    async def put_configuration(self, request: Request, caller: Caller, identifier: str) -> Response:
        if_match = request.headers.get("if-match")
        found, is_new = configuration_service.put_configuration(self._state, identifier, read_body(request), if_match)
        view = metrics.view(self._state, found)
        return json_response(201 if is_new else 200, view, {"ETag": f'"{found.etag}"'})

    async def delete_configuration(self, request: Request, caller: Caller, identifier: str) -> Response:
        configuration_service.delete_configuration(self._state, identifier, request.headers.get("if-match"))
        return Response(204)

    async def test_queries(self, request: Request, caller: Caller) -> Response:
        return json_response(200, metrics.test_queries(read_body(request)))

    async def apply_content(self, request: Request, caller: Caller, device: str) -> Response:
        set_modules.apply_content(self._state, device, read_body(request))
        return Response(204)
