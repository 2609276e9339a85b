"""Schemathesis over the JSON API: whatever its OpenAPI document allows, and what it does not, never breaks it."""

from __future__ import annotations

import pytest

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: the API was not fuzzed")
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from pydantic import TypeAdapter  # noqa: E402

from edge_expose_cloud.portal.api_bodies import (  # noqa: E402
    Applied,
    DeviceBody,
    Devices,
    ExposureBody,
    Planned,
    Problem,
    SessionBody,
    Violations,
)

BODIES = {
    "GET /api/session": SessionBody,
    "GET /api/devices": Devices,
    "GET /api/devices/{device}": DeviceBody,
    "GET /api/devices/{device}/exposures/{name}": ExposureBody,
    "PUT /api/devices/{device}/exposures/{name}": Planned | Applied,
    "DELETE /api/devices/{device}/exposures/{name}": Planned | Applied,
    "POST /api/validate": Violations,
}


def test_the_document_names_what_each_call_answers(ada) -> None:
    document = ada.client.app.openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            told = [item["$ref"] for item in schema.get("anyOf", [schema])]
            names = [one.__name__ for one in getattr(BODIES[f"{method.upper()} {path}"], "__args__", ())]
            names = names or [BODIES[f"{method.upper()} {path}"].__name__]
            assert told == [f"#/components/schemas/{name}" for name in names], (method, path)
            assert operation["summary"].split()[0] in ("Get", "List", "Declare", "Remove", "Validate")
    assert len(document["paths"]) == 5


@pytest.fixture
def api(world, ada):
    ada.client.headers.update(world.bearer())
    document = ada.client.app.openapi()
    schema = schemathesis.openapi.from_dict(document)
    schema.app = ada.client.app
    return ada, schema


def test_no_call_that_the_document_allows_or_forbids_breaks_the_api(api) -> None:
    ada, schema = api
    called: set[str] = set()
    answered: dict[str, set[int]] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        called.add(f"{operation.method.upper()} {operation.path}")

        fuzz(operation, ada, answered)
    assert "PUT /api/devices/{device}/exposures/{name}" in called
    assert len(called) >= 7
    assert 200 in answered["GET /api/devices/{device}"], answered
    assert {409, 422} & answered["PUT /api/devices/{device}/exposures/{name}"], answered


def fuzz(operation, ada, answered) -> None:
    @settings(
        max_examples=25,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def one(case) -> None:
        # Half of the calls name the device and the exposure that exist, else everything would end at 404.
        if case.path_parameters and len(repr(case.path_parameters)) % 2:
            case.path_parameters["device"] = "d1"
        kwargs = case.as_transport_kwargs(base_url="http://127.0.0.1:8480")
        kwargs.pop("cookies", None)
        path = kwargs.pop("url").removeprefix("http://127.0.0.1:8480")
        headers = {
            **{
                key: value
                for key, value in (kwargs.pop("headers", None) or {}).items()
                if key.isascii() and key.lower() != "authorization"
            },
            **ada.client.headers,
        }
        raw = ada.client.request(kwargs.pop("method"), path, headers=headers, follow_redirects=False, **kwargs)
        answered.setdefault(f"{case.method} {operation.path}", set()).add(raw.status_code)
        assert raw.status_code < 500, (case.method, path, raw.text[:500])
        declared = {str(code) for code in operation.definition.raw["responses"]}
        assert str(raw.status_code) in declared, (raw.status_code, declared, path)
        assert raw.headers["content-type"].startswith("application/json"), path
        # The document's own schema, and nothing beside it.
        model = BODIES[operation.label] if raw.status_code < 300 else Problem | Violations
        TypeAdapter(model).validate_python(raw.json())

    given(case=operation.as_strategy())(one)()
