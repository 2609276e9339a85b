"""Configuration operations: create, update, delete, apply to one device, evaluation and metrics. No I/O."""

from __future__ import annotations

from typing import Any

from edge_expose_local.hub.deployments import plan as deployments
from edge_expose_local.hub.errors import HubError, argument_invalid, precondition_failed
from edge_expose_local.hub.query import evaluation as query
from edge_expose_local.hub.query import parser as query_parser
from edge_expose_local.hub.records import configurations as rules
from edge_expose_local.hub.records import twin_rules
from edge_expose_local.hub.records.configurations import DESIRED, Configuration
from edge_expose_local.hub.records.identities import TwinKey
from edge_expose_local.hub.records.twins import same
from edge_expose_local.hub.registry import identity_service as registry
from edge_expose_local.hub.registry import twin_service
from edge_expose_local.hub.store.state import HubState

JsonObject = dict[str, Any]
MAX_CONFIGURATIONS = 100


def get_configuration(state: HubState, identifier: str) -> Configuration:
    found = state.configurations.get(identifier)
    if found is None:
        raise HubError(404, "ConfigurationNotFound", f"Configuration {identifier} not found", 404011)
    return found


def _check_match(current: Configuration, if_match: str) -> None:
    """Only a quoted etag or `*` is understood here; a bare etag counts as no If-Match at all, as in the service."""
    if if_match in ("*", '"*"', f'"{current.etag}"'):
        return
    if not if_match.startswith('"'):
        raise _exists(current.id)
    raise precondition_failed()


def _exists(identifier: str) -> HubError:
    return HubError(409, "ConfigurationAlreadyExists", f"Configuration {identifier} already exists", 409011)


def put_configuration(
    state: HubState, identifier: str, body: JsonObject, if_match: str | None
) -> tuple[Configuration, bool]:
    """The configuration and whether it is new. Content never changes after creation. Raises HubError."""
    rules.check_id(identifier)
    if body.get("id", identifier) != identifier:
        raise argument_invalid("id in the body differs from the path")
    current = state.configurations.get(identifier)
    if current is None and if_match is not None:
        get_configuration(state, identifier)
    if current is not None:
        if if_match is None:
            raise _exists(identifier)
        _check_match(current, if_match)
    content = rules.check_content(body.get("content"))
    condition = body.get("targetCondition") or ""
    if not isinstance(condition, str):
        raise argument_invalid("targetCondition is not a string")
    kind = next(iter(content))
    if problem := rules.condition_problem(condition, kind):  # type: ignore[arg-type]  # check_content returns kinds only
        text, detail = problem
        raise HubError(400, "InvalidConfigurationTargetCondition", text, 400012, detail=detail)
    priority = body.get("priority") or 0
    if isinstance(priority, bool) or not isinstance(priority, int) or priority < 0:
        raise argument_invalid("priority is not an integer of at least 0")
    labels = body.get("labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise argument_invalid("labels is not a map of strings")
    metrics = rules.check_metrics(body.get("metrics"))
    if current is None:
        if len(state.configurations) >= MAX_CONFIGURATIONS:
            raise HubError(403, "ConfigurationCountLimitExceeded", f"{MAX_CONFIGURATIONS} configurations exist", 403008)
        order = max((item.order for item in state.configurations.values()), default=0) + 1
        current = Configuration(identifier, content, "", 0, {}, {}, None, state.now(), state.now(), order)
        state.configurations[identifier] = current
        is_new = True
    else:
        current.revision, current.updated, is_new = current.revision + 1, state.now(), False
    current.target_condition, current.priority, current.labels, current.metrics = condition, priority, labels, metrics
    current.schema_version = body.get("schemaVersion")
    state.mark("configuration", identifier)
    evaluate(state)
    return current, is_new


def delete_configuration(state: HubState, identifier: str, if_match: str | None) -> None:
    """What it set stays on the twins; its status entries go at the evaluation that follows."""
    current = get_configuration(state, identifier)
    if if_match is not None:
        _check_match(current, if_match)
    del state.configurations[identifier]
    state.mark("configuration", identifier)
    evaluate(state)


def _targets(state: HubState, configuration: Configuration) -> list[TwinKey]:
    if not configuration.target_condition.strip():
        return []
    _, where = query_parser.parse_condition(configuration.target_condition)
    of_modules = configuration.kind == "moduleContent"
    edge_only = configuration.kind == "modulesContent"
    found: list[TwinKey] = []
    for key in state.twins:
        if (key.module is not None) != of_modules or (edge_only and not state.identities[key].iot_edge):
            continue
        if where is None or query.matches(_row(state, key), where):
            found.append(key)
    return found


def _row(state: HubState, key: TwinKey) -> JsonObject:
    """The part of a twin that target conditions may read; the whole document would be slow for many devices."""
    twin = state.twins[key]
    row: JsonObject = {
        "deviceId": key.device,
        "tags": twin.tags,
        "properties": {"reported": twin.reported.module_view()},
    }
    return row if key.module is None else {**row, "moduleId": key.module}


def evaluate(state: HubState) -> None:
    """Works out for every twin which configurations it gets, writes what changed, notes status and counts."""
    state.evaluation_wanted = False
    targeting: dict[TwinKey, list[Configuration]] = {}
    for configuration in state.configurations.values():
        for key in _targets(state, configuration):
            targeting.setdefault(key, []).append(configuration)
    statuses: dict[TwinKey, dict[str, JsonObject]] = {}
    for key, items in targeting.items():
        if key.module is None and state.identities[key].iot_edge:
            _evaluate_edge(state, key.device, items, statuses)
        kind = "deviceContent" if key.module is None else "moduleContent"
        plain, wanted = deployments.plan_plain(items, kind)  # type: ignore[arg-type]  # one of the two by construction
        statuses.setdefault(key, {}).update({name: {"status": status} for name, status in plain.items()})
        if plain:
            _write(state, key, wanted)
    for key, twin in state.twins.items():
        new = statuses.get(key, {})
        if twin.configurations != new:
            twin.configurations = new
            state.mark("twin", key)
    _count(state, statuses)
    state.evaluation_wanted = False


def _evaluate_edge(
    state: HubState, device: str, items: list[Configuration], statuses: dict[TwinKey, dict[str, JsonObject]]
) -> None:
    plan = deployments.plan_device(items)
    entries: dict[str, JsonObject] = {name: {"status": status} for name, status in plan.statuses.items()}
    statuses.setdefault(TwinKey(device, "$edgeAgent"), {}).update(entries)
    for item in items:
        if plan.statuses.get(item.id) == "Applied":
            registry.ensure_modules(state, device, deployments.modules_named_in(item.content["modulesContent"]))
    for module, wanted in plan.modules.items():
        if TwinKey(device, module) in state.twins:
            _write(state, TwinKey(device, module), wanted)


def _write(state: HubState, key: TwinKey, wanted: deployments.Wanted) -> None:
    twin = state.twins[key]
    result = wanted.result(twin.desired.value, state.settings.siblings)
    # Each deployment was checked when it was created, but their union may outgrow a twin: then nothing is written.
    too_large = twin_rules.size_problem(result, twin_rules.DESIRED_LIMIT, DESIRED) is not None
    if not too_large and not same(result, twin.desired.value):
        twin_service.set_desired(state, key, result)
        twin.moved()


def _count(state: HubState, statuses: dict[TwinKey, dict[str, JsonObject]]) -> None:
    for configuration in state.configurations.values():
        found = [entry[configuration.id]["status"] for entry in statuses.values() if configuration.id in entry]
        counts = (len(found), found.count("Applied"))
        if (configuration.targeted, configuration.applied) != counts:
            configuration.targeted, configuration.applied = counts
            state.mark("configuration", configuration.id)
