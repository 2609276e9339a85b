"""Between the models of azure-iot-hub and the values of `edge_expose_cloud.hub.api`."""

from __future__ import annotations

import json
from typing import Any

from azure.iot.hub.models import Configuration, ConfigurationContent, ConfigurationMetrics

from edge_expose_cloud.hub.api import Deployment, HubError, HubProblem, Json, Twin, without_hub_keys


def twin_of(model: Any) -> Twin:
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
        last_activity=model.last_activity_time.isoformat() if model.last_activity_time is not None else "",
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def deployment_of(model: Any) -> Deployment:
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


def configuration_of(deployment: Deployment) -> Any:
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
