"""Queries over the hub's records, and the metrics of configurations, which are queries. No I/O."""

from __future__ import annotations

from typing import Any

from edge_expose_local.hub.errors import HubError
from edge_expose_local.hub.query import evaluation as query
from edge_expose_local.hub.query import parser as query_parser
from edge_expose_local.hub.query.syntax import QueryError
from edge_expose_local.hub.records import configurations as rules
from edge_expose_local.hub.records.configurations import Configuration
from edge_expose_local.hub.store.state import HubState

JsonObject = dict[str, Any]


def run_query(state: HubState, text: str) -> tuple[list[JsonObject], str]:
    """Rows and their type, for the header `x-ms-item-type`. Raises HubError 400."""
    try:
        parsed = query_parser.parse_query(text)
    except QueryError as error:
        raise HubError(400, "ArgumentInvalid", "BadRequest", 400004, detail=f"query: {error}") from error
    if parsed.source == "devices.jobs":
        return query.run(parsed, state.device_job_views()), "DeviceJob"
    rows = query.run(parsed, state.twin_views(parsed.source == "devices.modules"))
    return rows, "Raw" if parsed.columns else "Twin"


def _metric(state: HubState, text: str) -> int:
    """The number of rows, or the count itself for a query of nothing but COUNT()."""
    parsed = query_parser.parse_query(text)
    rows, _ = run_query(state, text)
    if len(parsed.columns) == 1 and parsed.columns[0].aggregate == "COUNT" and not parsed.groups:
        return int(next(iter(rows[0].values())))
    return len(rows)


def view(state: HubState, configuration: Configuration) -> JsonObject:
    """The JSON document with fresh metric results (empty before the first evaluation)."""
    if configuration.targeted is None:
        return configuration.view({}, {})
    results = {"targetedCount": configuration.targeted}
    # Only twins that carry the status can match the system queries, so only those are looked at.
    rows = [state.twin_view(key) for key, twin in state.twins.items() if configuration.id in twin.configurations]
    for name, text in configuration.system_queries().items():
        if name not in results:
            results[name] = len(query.run(query_parser.parse_query(text), rows))
    asked = {name: text for name, text in configuration.metrics.items() if not rules.is_bare(text)}
    return configuration.view(results, {name: _metric(state, text) for name, text in asked.items()})


def test_queries(body: JsonObject) -> JsonObject:
    """Problems of a target condition and of metric queries, as data with status 200."""
    condition = body.get("targetCondition") or ""
    problem: str | None = None
    if isinstance(condition, str) and condition.strip() == "*":
        problem = "'*' is not a condition"  # refused here although PUT takes it
    elif isinstance(condition, str) and condition:
        kind = "moduleContent" if condition.strip().upper().startswith("FROM") else "modulesContent"
        found = rules.condition_problem(condition, kind)  # type: ignore[arg-type]  # two literals
        problem = None if found is None else found[1]
    errors: dict[str, str] = {}
    for name, text in (body.get("customMetricQueries") or {}).items():
        try:
            query_parser.parse_query(str(text))
        except QueryError as error:
            errors[name] = str(error)
    return {"targetConditionError": problem, "customMetricQueryErrors": errors}
