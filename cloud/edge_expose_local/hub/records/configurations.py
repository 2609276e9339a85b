"""Configurations (automatic deployments, base and layered): the record, its checks and its JSON. Pure."""

from __future__ import annotations

import base64
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edge_expose_local.hub.errors import HubError, argument_invalid
from edge_expose_local.hub.query import parser as query_parser
from edge_expose_local.hub.query.syntax import QueryError
from edge_expose_local.hub.records import twin_rules

JsonObject = dict[str, Any]
Kind = Literal["modulesContent", "deviceContent", "moduleContent"]
SiblingRule = Literal["keep", "reset"]  # of keys that no deployment names, when one sets single paths beside them
DESIRED = "properties.desired"
MAX_CUSTOM_METRICS = 5
_ID = re.compile(r"[a-z0-9\-+%_*!']{1,128}")
_AGENT_QUERY = (
    "select deviceId from devices.modules where moduleId = '$edgeAgent' and configurations.[[{id}]].status = 'Applied'"
)
_REPORTED_QUERY = (
    " and properties.desired.$version = properties.reported.lastDesiredVersion"
    " and properties.reported.lastDesiredStatus.code {sign} 200"
)
_EVERY_DEVICE = "select deviceId from devices"
_PLAIN_QUERY = "select deviceId from {source} where configurations.[[{id}]].status = 'Applied'"


@dataclass(slots=True)
class Configuration:
    """`created` and `updated` are ISO 8601 UTC; `order` rises with each creation and breaks priority ties."""

    id: str
    content: JsonObject
    target_condition: str
    priority: int
    labels: dict[str, str]
    metrics: dict[str, str]
    schema_version: str | None
    created: str
    updated: str
    order: int
    revision: int = 1
    targeted: int | None = None
    applied: int | None = None

    @property
    def etag(self) -> str:
        return base64.b64encode(str(self.revision).encode()).decode()

    @property
    def kind(self) -> Kind:
        for kind in ("modulesContent", "deviceContent", "moduleContent"):
            if self.content.get(kind):
                return kind
        return "modulesContent"

    @property
    def layered(self) -> bool:
        """A deployment that does not bring the whole `$edgeAgent` section."""
        return DESIRED not in (self.content.get("modulesContent") or {}).get("$edgeAgent", {})

    def system_queries(self) -> dict[str, str]:
        if self.kind == "modulesContent":
            applied = _AGENT_QUERY.format(id=self.id)
            return {
                "targetedCount": self._targeted_query(),
                "appliedCount": applied,
                "reportedSuccessfulCount": applied + _REPORTED_QUERY.format(sign="="),
                "reportedFailedCount": applied + _REPORTED_QUERY.format(sign="!="),
            }
        source = "devices" if self.kind == "deviceContent" else "devices.modules"
        return {"targetedCount": self._targeted_query(), "appliedCount": _PLAIN_QUERY.format(source=source, id=self.id)}

    def _targeted_query(self) -> str:
        """Empty without a target condition, as recorded; else what the condition selects (its text is not known)."""
        condition = self.target_condition.strip()
        if not condition:
            return ""
        if condition.upper().startswith("FROM"):
            return f"select deviceId {condition}"
        parts = ["capabilities.iotEdge = true"] if self.kind == "modulesContent" else []
        parts += [] if condition == "*" else [f"({condition})"]
        return " where ".join([_EVERY_DEVICE, *filter(None, [" and ".join(parts)])])

    def view(self, system_results: dict[str, int], custom_results: dict[str, int]) -> JsonObject:
        return {
            "id": self.id,
            "schemaVersion": self.schema_version,
            "labels": self.labels,
            "content": self.content,
            "targetCondition": self.target_condition,
            "createdTimeUtc": self.created,
            "lastUpdatedTimeUtc": self.updated,
            "priority": self.priority,
            "systemMetrics": {"results": system_results, "queries": self.system_queries()},
            "metrics": {"results": custom_results, "queries": self.metrics},
            "etag": self.etag,
        }

    def to_json(self) -> JsonObject:
        return asdict(self)

    @classmethod
    def from_json(cls, data: JsonObject) -> Configuration:
        return cls(**data)


def invalid_content(detail: str, applied: bool = False) -> HubError:
    """The texts are from Azure-Samples/azure-iot-samples-csharp#108 and Azure/azure-iot-sdk-csharp#2419 (`applied`)."""
    text = "The content provided for configuration is invalid. Please check and try again" if applied else "BadRequest"
    return HubError(400, "InvalidConfigurationContent", text, 400011, detail=detail)


def check_id(identifier: str) -> None:
    if not _ID.fullmatch(identifier):
        raise argument_invalid(f"configuration id '{identifier}' must be 1 to 128 of a-z 0-9 - + % _ * ! '")


def check_section(name: str, section: Any) -> None:
    """One module's or device's part of a content. Raises HubError 400."""
    if not isinstance(section, dict):
        raise invalid_content(f"the content of {name} is not an object")
    for path, value in section.items():
        if path != DESIRED and not path.startswith(DESIRED + "."):
            raise invalid_content(f"'{path}' in {name}: only {DESIRED} and {DESIRED}.<path> are allowed")
        if path == DESIRED and not isinstance(value, dict):
            raise invalid_content(f"{DESIRED} of {name} is not an object")
        steps = path[len(DESIRED) + 1 :].split(".") if path != DESIRED else []
        if path != DESIRED and not all(steps):
            raise invalid_content(f"'{path}' in {name} has an empty step")
        nested: Any = value
        for step in reversed(steps):
            nested = {step: nested}
        if found := twin_rules.problem(nested):
            raise invalid_content(f"{name}: {found}")
        if found := twin_rules.size_problem(nested, twin_rules.DESIRED_LIMIT, f"{DESIRED} of {name}"):
            raise invalid_content(f"{found}")


def check_modules_content(content: Any) -> JsonObject:
    """`modulesContent` of an apply or a deployment. Raises HubError 400."""
    if not isinstance(content, dict):
        raise invalid_content("modulesContent is not an object")
    for name, section in content.items():
        check_section(name, section)
    return content


def check_content(content: Any) -> JsonObject:
    """The `content` of a configuration: exactly one kind. Raises HubError 400."""
    if not isinstance(content, dict):
        raise invalid_content("content is missing or not an object")
    kinds = [kind for kind in ("modulesContent", "deviceContent", "moduleContent") if content.get(kind)]
    if len(kinds) != 1:
        raise invalid_content("content needs exactly one of modulesContent, deviceContent and moduleContent")
    section = content[kinds[0]]
    if kinds[0] == "modulesContent":
        check_modules_content(section)
        if "$edgeAgent" not in section:
            raise invalid_content("modulesContent must hold $edgeAgent (an empty object in a layer)")
    else:
        check_section(kinds[0], section)
    return {kinds[0]: section}


def condition_problem(text: str, kind: Kind) -> tuple[str, str] | None:
    """What the service says about a bad target condition, and what is wrong with it; None for a good one.

    The texts were seen in Azure/azure-iot-cli-extension#88 (a property) and #490 (everything else).
    """
    if not text.strip():
        return None
    try:
        source, where = query_parser.parse_condition(text)
    except QueryError as error:
        return "BadRequest", str(error)
    if text.strip() != "*" and (source == "devices.modules") != (kind == "moduleContent"):
        return "BadRequest", "FROM devices.modules belongs to moduleContent configurations, and only to them"
    for path in query_parser.paths_in(where):
        steps = path.steps
        known = steps in (("deviceId",), ("moduleId",)) or steps[0] == "tags" or steps[:2] == ("properties", "reported")
        if not known:
            based = "It must be a filter condition based on 'deviceId', 'tags', or 'properties.reported'."
            said = f"Invalid targetCondition. {based} It contains: {path}"
            return said, f"'{path}' cannot be used, only deviceId, tags.* and properties.reported.*"
    return None


def is_bare(text: str) -> bool:
    """`select *` and no more: the service takes it for a metric (a live test of azure-iot-cli-extension does so)."""
    return text.split() == ["select", "*"]


def check_metrics(raw: Any) -> dict[str, str]:
    """The custom metric queries of a body. Raises HubError 400."""
    queries = (raw or {}).get("queries") or {} if isinstance(raw, dict) or raw is None else None
    if not isinstance(queries, dict) or not all(isinstance(text, str) for text in queries.values()):
        raise argument_invalid("metrics.queries is not a map of names to queries")
    if len(queries) > MAX_CUSTOM_METRICS:
        raise argument_invalid(f"{len(queries)} custom metrics, {MAX_CUSTOM_METRICS} are allowed")
    for name, text in queries.items():
        if is_bare(text):
            continue
        try:
            query_parser.parse_query(text)
        except QueryError as error:
            raise HubError(
                400, "InvalidConfigurationCustomMetricsQuery", f"metric '{name}': {error}", 400015
            ) from error
    return queries
