"""Whatever stands in a twin, reading it is an answer and never an exception, and what is accepted can be written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_expose_contract.limits import section_size, twin_violations
from edge_expose_contract.models import Exposure, Site
from edge_expose_contract.parsing import DesiredDocument, Refusal, parse_desired

# JSON can say half of a surrogate pair, and Python's `json` reads it.
TEXTS = st.text(st.characters(codec=None, categories=None), max_size=8)
ODD = st.sampled_from(
    [
        "\ud800",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "10.0.0.1-10.0.0.9",
        "10.0.0.0/" + "9" * 5000,
        "9" * 5000 + ".0",
        "1.0",
        "/health",
        "tcp",
        "a=b",
        "80:\ud800/tcp",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | ODD
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)


def fields_of(model: type[Exposure | Site], **given: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with the model's own field names, so that more than the first check is reached."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    return st.builds(
        lambda base, more: {**base, **more}, st.just(given), st.dictionaries(st.sampled_from(names), JSON, max_size=3)
    )


EXPOSURES = JSON | fields_of(Exposure, module="web", ports=[80])
SITES = JSON | fields_of(Site)
SECTIONS = st.fixed_dictionaries(
    {
        "schemaVersion": st.just("1.0") | JSON,
        "exposures": st.dictionaries(TEXTS | st.just("web"), EXPOSURES, max_size=3) | JSON,
    },
    optional={"site": SITES, "confirmRemoval": JSON, "later": JSON},
)


def written(result: DesiredDocument | Refusal) -> bytes:
    """All that goes on from here, as the state file and the report have it."""
    if isinstance(result, Refusal):
        return result.description.encode()
    content = {
        "exposures": {name: item.model_dump(mode="json", by_alias=True) for name, item in result.exposures.items()},
        "invalid": {name: [str(item) for item in found] for name, found in result.invalid.items()},
        "site": result.site.model_dump(mode="json", by_alias=True) if result.site is not None else None,
        "said": [str(item) for item in (*result.site_violations, *result.warnings)],
        "confirm": result.confirm_removal,
    }
    return json.dumps(content, ensure_ascii=False).encode()


@settings(max_examples=500, deadline=None)
@given(JSON | SECTIONS)
def test_any_document_is_read_without_an_exception(document: Any) -> None:
    written(parse_desired(document))


@settings(max_examples=500, deadline=None)
@given(EXPOSURES, SITES)
def test_any_exposure_and_any_site_spoil_nothing_else(raw: Any, site: Any) -> None:
    result = parse_desired(
        {"schemaVersion": "1.0", "site": site, "exposures": {"odd": raw, "good": {"module": "web", "ports": [80]}}}
    )
    assert isinstance(result, DesiredDocument)
    assert "good" in result.exposures
    assert json.loads(written(result))


@given(JSON)
def test_the_size_and_the_limits_of_any_section_are_known(section: Any) -> None:
    assert section_size({"a": section}) >= 1
    twin_violations({"a": section})


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [50, 300, 600, 900, 5000])
@pytest.mark.parametrize("field", ["ports", "unknown"])
def test_what_nests_deeply_spoils_nothing_else(levels: int, field: str) -> None:
    odd = {"module": "web", "ports": [80], field: deep(levels)}
    result = parse_desired(
        {"schemaVersion": "1.0", "exposures": {"odd": odd, "good": {"module": "web", "ports": [80]}}}
    )
    assert isinstance(result, DesiredDocument)
    assert "good" in result.exposures
    assert result.invalid.keys() <= {"odd"}
    written(result)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"expires": "0001-01-01T00:00:00+14:00"}, "InvalidTime"),
        ({"expires": "9999-12-31T23:59:59-14:00"}, "InvalidTime"),
        ({"address": "\ud800"}, "InvalidValue"),
        ({"share": "\ud800"}, "InvalidValue"),
        ({"probe": "/a b"}, "InvalidProbe"),
        ({"probe": "/\u00e4"}, "InvalidProbe"),
        ({"probe": "/a\r\nHost: x"}, "InvalidProbe"),
        ({"module": "\u65e5\u672c"}, "InvalidLabelValue"),
        ({"module": "a" * 64}, "InvalidLabelValue"),
        ({"module": "-web"}, "InvalidLabelValue"),
    ],
)
def test_a_field_that_could_not_be_carried_out_is_a_violation(fields: dict[str, Any], rule: str) -> None:
    result = parse_desired({"schemaVersion": "1.0", "exposures": {"odd": {"module": "web", "ports": [80], **fields}}})
    assert isinstance(result, DesiredDocument)
    assert [item.rule for item in result.invalid["odd"]] == [rule]


@pytest.mark.parametrize("spelling", ["allow_from", "external_traffic_policy", "session_affinity"])
def test_a_field_has_one_spelling(spelling: str) -> None:
    odd = {"module": "web", "ports": [80], spelling: "None"}
    document = {"schemaVersion": "1.0", "exposures": {"odd": odd}}
    lenient, strict = parse_desired(document), parse_desired(document, unknown_is_error=True)
    assert isinstance(lenient, DesiredDocument)
    assert isinstance(strict, DesiredDocument)
    assert [(item.path, item.rule) for item in lenient.warnings] == [(f"exposures.odd.{spelling}", "UnknownField")]
    assert [item.rule for item in strict.invalid["odd"]] == ["UnknownField"]
