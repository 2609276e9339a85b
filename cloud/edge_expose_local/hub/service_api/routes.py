"""The routes of the service API, and what a real hub has beyond them. Pure."""

from __future__ import annotations

from dataclasses import dataclass


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
    Route("GET", "jobs/v2/query", "query_jobs", _SERVICE, "Jobs"),
    Route("GET", "jobs/v2/{id}", "get_job", _SERVICE, "Jobs"),
    Route("PUT", "jobs/v2/{id}", "create_job", _SERVICE, "Jobs"),
    Route("POST", "jobs/v2/{id}/cancel", "cancel_job", _SERVICE, "Jobs"),
    Route("GET", "jobs", "list_import_export_jobs", _READ, "Jobs"),
    Route("GET", "jobs/{id}", "get_import_export_job", _READ, "Jobs"),
]


# Operations that a hub has and this one does not, by the first segments of their paths: what they are for.
NOT_OFFERED = {
    ("jobs",): "import and export jobs (they need a storage account)",
    ("messages", "servicebound"): "cloud-to-device messages and their feedback",
    ("messages", "devicebound"): "cloud-to-device messages and their feedback",
    ("digitaltwins",): "digital twins",
    ("devices", "{d}", "commands"): "cloud-to-device messages and their feedback",
    ("devices", "{d}", "messages"): "telemetry and messages over HTTPS; devices use MQTT",
    ("devices", "{d}", "files"): "file upload",
    ("devices", "{d}", "modules", "{m}", "messages"): "telemetry and messages over HTTPS; modules use MQTT",
    ("devices", "{d}", "modules", "{m}", "devicesandmodulesindevicescope"): "the scope calls of nested edgeHubs",
    ("devices", "{d}", "modules", "{m}", "deviceandmoduleindevicescope"): "the scope calls of nested edgeHubs",
    ("twins", "{d}", "streams"): "device streams",
    ("twins", "{d}", "modules", "{m}", "streams"): "device streams",
    ("servicebus",): "message routing endpoints",
    ("$iothub", "messages"): "message routing endpoints",
}


def not_offered(segments: list[str]) -> str | None:
    """What the path is for in a real hub, when this hub knows it but does not offer it."""
    for pattern, what in NOT_OFFERED.items():
        if len(segments) >= len(pattern) and _match("/".join(pattern), segments[: len(pattern)]) is not None:
            return what
    return None


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
