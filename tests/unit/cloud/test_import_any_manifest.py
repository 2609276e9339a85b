"""Any manifest, imported and rendered, is the same again, but for differences of a closed list, each of them named."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edge_expose_cloud.findings.finding import Finding, has_errors
from edge_expose_cloud.findings.rules.imports import DIFFERENCES
from edge_expose_cloud.manifest.checks import check_manifest
from edge_expose_cloud.manifest.content import read_manifest
from edge_expose_cloud.manifest.encoding import Content, Secrets
from edge_expose_cloud.manifest.imports.spec import spec_of_manifest
from edge_expose_cloud.manifest.render import render_content
from edge_expose_cloud.manifest.spec_checks import check_rendered
from edge_expose_cloud.spec.load import load_spec, spec_from_data
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.spec.text.documents import Document
from edge_expose_cloud.spec.text.yaml_lines import read_yaml
from edge_expose_cloud.spec.text.yaml_writer import yaml_text
from edge_expose_cloud.spec.variables import secret_names
from edge_expose_contract.parsing import parse_exposure
from support.manifests import contents, plain, sound_contents, unlike

AROUND = st.just({}) | st.fixed_dictionaries(
    {"id": st.just("north_1")}, optional={"targetCondition": st.just("tags.a='b'"), "priority": st.integers(0, 9)}
)
SECRETS = ("SECRET", "471108154711")


def imported(content: dict[str, Any], around: dict[str, Any]) -> tuple[str, list[Finding]]:
    """The text of the spec, and what was said."""
    document = read_manifest({**around, "content": {"modulesContent": copy.deepcopy(content)}})
    assert not isinstance(document, Finding)
    spec, findings = spec_of_manifest(document, "file")
    return yaml_text(spec), findings


def rendered(text: str) -> dict[str, Any]:
    """What the text of a spec renders to. Its fields are sound; that a manifest breaks rules is not asked here."""
    document = read_yaml(text, "spec.yaml")
    assert isinstance(document, Document), document
    loaded = spec_from_data(document)
    if loaded.spec is not None:
        return sent(loaded.spec)
    data = {key: value for key, value in document.data.items() if key != "exposures"}
    exposures = {}
    for name, raw in document.data.get("exposures", {}).items():
        exposure, violations = parse_exposure(name, raw, unknown_is_error=True)
        assert exposure is not None
        assert not violations
        exposures[name] = exposure
    spec = Spec.model_validate(data).model_copy(update={"exposures": exposures})
    return sent(spec)


def sent(spec: Spec) -> dict[str, Any]:
    """As it would be sent, references still in it."""
    content = render_content(spec, {})
    return dict(Content(content, Secrets({name: f"${{env:{name}}}" for name in secret_names(content)})).sent())


def rule_of(path: tuple[str, ...], there: Any, here: Any, original: dict[str, Any]) -> str:
    """Which row of the closed list a difference is; "" for none."""
    twin, keys = path[0], [key.lower() for key in path[1:]]
    if "registrycredentials" in keys and isinstance(here, str) and here.startswith("${env:"):
        return "ImportPassword"
    if keys[2:3] == ["change"] and twin == "edge-expose" and here is ...:
        return "ImportChange"
    # No section, or a key in one, that IoT Hub takes; a manifest without $edgeAgent is none either.
    if not isinstance(original.get(twin), dict) or keys[:2] != ["properties", "desired"] or keys[2:3] == [""]:
        return "ImportForm"
    return "ImportNull" if there is None and here is ... else ""


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(contents(), AROUND)
def test_any_manifest_comes_back_but_for_a_closed_list(content: dict[str, Any], around: dict[str, Any]) -> None:
    text, findings = imported(content, around)
    said = {item.rule for item in findings}
    assert "ImportLost" not in said, findings
    needed = set()
    for path, there, here in unlike(plain(content), plain(rendered(text))):
        rule = rule_of(path, there, here, content)
        assert rule, (path, there, here)
        needed.add(rule)
    assert needed <= {row[0] for row in DIFFERENCES}
    assert needed <= said


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(contents(), AROUND)
def test_no_password_of_any_manifest_is_printed(content: dict[str, Any], around: dict[str, Any]) -> None:
    text, findings = imported(content, around)
    shown = text + json.dumps([item.to_json() for item in findings])
    assert not [secret for secret in SECRETS if secret in shown]
    assert "***" not in shown


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(contents())
def test_importing_what_an_imported_spec_renders_gives_the_same_manifest(content: dict[str, Any]) -> None:
    once = rendered(imported(content, {})[0])
    text, findings = imported(once, {})
    assert list(unlike(plain(once), plain(rendered(text)))) == []
    assert not {item.rule for item in findings} & {"ImportNull", "ImportForm", "ImportChange", "ImportPassword"}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(sound_contents())
def test_of_a_manifest_without_errors_comes_a_spec_without_errors(content: dict[str, Any]) -> None:
    document = read_manifest({"modulesContent": content})
    assert not isinstance(document, Finding)
    assume(not has_errors(check_manifest(document)))
    text, findings = imported(content, {})
    loaded = load_spec(text, "spec.yaml")
    assert loaded.spec is not None, loaded.findings
    assert not has_errors(check_rendered(loaded.spec))
    left = [rule_of(path, there, here, content) for path, there, here in unlike(plain(content), plain(rendered(text)))]
    assert set(left) <= {"ImportPassword"} & {item.rule for item in findings}
