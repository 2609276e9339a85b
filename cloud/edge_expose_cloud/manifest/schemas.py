"""JSON Schemas of `$edgeAgent` and `$edgeHub`: they take and refuse what `az iot edge` does. Pure.

Version 1.0 lets extra keys pass inside its objects; from 1.1 on nearly every object is closed. Written by us from the
published rules. Each schema describes a document that holds just the one section.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_UINT32: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 4294967295}
_DIALECT: Final = "http://json-schema.org/draft-07/schema#"
AGENT_VERSIONS: Final = ("1.0", "1.1")
HUB_VERSIONS: Final = ("1.0", "1.1", "1.2")


def edge_agent_schema(version: str) -> Schema:
    """The schema of `{"$edgeAgent": ...}` for schemaVersion 1.0 or 1.1."""
    closed = version != "1.0"
    agent = {"type": {"enum": ["docker"]}, "settings": _settings(closed), "env": _env()}
    lifecycle = {
        "status": {"enum": ["running", "stopped"]},
        "restartPolicy": {"enum": ["never", "on-failure", "on-unhealthy", "always"]},
    }
    module = {**agent, **lifecycle, "version": _TEXT}
    hub = {**agent, **lifecycle}
    if closed:
        pull = {"imagePullPolicy": {"enum": ["on-create", "never"]}}
        agent = {**agent, **pull, "version": _TEXT}
        hub = {**hub, **pull, "startupOrder": _UINT32, "version": _TEXT}
        module = {**module, **pull, "startupOrder": _UINT32}
    desired = _object(
        {
            "schemaVersion": {"type": "string", "pattern": version.replace(".", r"\.")},
            "runtime": _runtime(closed),
            "systemModules": _object(
                {
                    "edgeAgent": _object(agent, ["type", "settings"], closed),
                    "edgeHub": _object(hub, ["type", "settings", "status", "restartPolicy"], closed),
                },
                ["edgeAgent", "edgeHub"],
                True,
            ),
            "modules": _named(
                "^[a-zA-Z0-9_-]+$", _object(module, ["type", "status", "restartPolicy", "settings"], closed)
            ),
        },
        ["schemaVersion", "runtime", "systemModules", "modules"],
        closed,
    )
    return _section("$edgeAgent", desired, f"edgeAgent section of a deployment manifest, schema {version}", closed)


def edge_hub_schema(version: str) -> Schema:
    """The schema of `{"$edgeHub": ...}` for schemaVersion 1.0, 1.1 or 1.2."""
    closed = version != "1.0"
    text: Schema = {"type": "string", "pattern": "^.+$"}
    if closed:
        route = {
            "anyOf": [
                _object(
                    {
                        "route": text,
                        "priority": {"type": "integer", "minimum": 0, "maximum": 9},
                        "timeToLiveSecs": _UINT32,
                    },
                    ["route"],
                    True,
                ),
                text,
            ]
        }
        routes = _named(r"^[^\.\$# ]+$", route)
    else:
        routes = {"type": "object", "patternProperties": {"^.+$": text}}
    fields: Schema = {
        "schemaVersion": {"type": "string", "pattern": version.replace(".", r"\.")},
        "routes": routes,
        "storeAndForwardConfiguration": _object({"timeToLiveSecs": {"type": "integer"}}, ["timeToLiveSecs"], closed),
    }
    if version == "1.2":
        fields["mqttBroker"] = _mqtt_broker()
    return _section(
        "$edgeHub",
        _object(fields, ["schemaVersion", "routes"], closed),
        f"edgeHub section of a deployment manifest, schema {version}",
        closed,
    )


def manifest_schemas() -> dict[str, Schema]:
    """File name -> schema, as committed under deployment-manifests/schemas."""
    found = {f"edge-agent-{version}.schema.json": edge_agent_schema(version) for version in AGENT_VERSIONS}
    found.update({f"edge-hub-{version}.schema.json": edge_hub_schema(version) for version in HUB_VERSIONS})
    return found


def _section(name: str, desired: Schema, title: str, closed: bool) -> Schema:
    body = _object({"properties.desired": desired}, ["properties.desired"], closed)
    return {"$schema": _DIALECT, "title": title, **_object({name: body}, [name], True)}


def _object(fields: Schema, required: list[str], closed: bool) -> Schema:
    schema: Schema = {"type": "object", "properties": fields, "required": required}
    if closed:
        schema["additionalProperties"] = False
    return schema


def _named(pattern: str, entry: Schema) -> Schema:
    return {"type": "object", "patternProperties": {pattern: entry}, "additionalProperties": False}


def _settings(closed: bool) -> Schema:
    if not closed:
        return _object({"image": _TEXT, "createOptions": _TEXT}, ["image"], False)
    return {
        "type": "object",
        "properties": {"image": _TEXT},
        "patternProperties": {"^(createoptions|createOptions)[0-9]*$": _TEXT},
        "required": ["image"],
        "additionalProperties": False,
    }


def _env() -> Schema:
    return _named(r"^[^\+#$\s\.]+$", _object({"value": {"type": ["number", "string", "boolean"]}}, ["value"], False))


def _runtime(closed: bool) -> Schema:
    credential = _object(
        {"username": _TEXT, "password": _TEXT, "address": {"type": "string", "pattern": r"^[^\s]+$"}},
        ["username", "password", "address"],
        closed,
    )
    credentials = _named(r"^[^\.\$# ]+$" if closed else "^.+$", credential)
    settings = _object(
        {"minDockerVersion": _TEXT, "loggingOptions": _TEXT, "registryCredentials": credentials}, [], closed
    )
    return _object({"type": {"enum": ["docker"]}, "settings": settings}, ["type", "settings"], closed)


def _mqtt_broker() -> Schema:
    def listed(item: Schema) -> Schema:
        return {"type": "array", "items": item}

    bridge = _object(
        {"direction": {"enum": ["in", "out"]}, "topic": _TEXT, "inPrefix": _TEXT, "outPrefix": _TEXT}, [], True
    )
    operations = {"enum": ["mqtt:connect", "mqtt:subscribe", "mqtt:publish"]}
    policy = listed(
        _object({"operations": listed(operations), "resources": listed({"type": "string", "minLength": 1})}, [], True)
    )
    authorization = _object(
        {"identities": listed({"type": "string", "minLength": 1}), "allow": policy, "deny": policy}, [], True
    )
    endpoint = _object({"endpoint": {"type": "string", "pattern": r"\$upstream"}, "settings": listed(bridge)}, [], True)
    return _object({"bridges": listed(endpoint), "authorizations": listed(authorization)}, [], True)
