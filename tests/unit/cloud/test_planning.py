"""Plans: what changes, the smallest step, a digest that moves when the plan does."""

from __future__ import annotations

import json

import pytest

from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.plan.model import PatchTwin, Plan, SetModules
from edge_expose_cloud.usecases.apply import apply_plan, check_dangers, check_expected
from edge_expose_cloud.usecases.secrets import secrets_for
from support.cloud import READY, SPEC, applied_hub, spec_of_text
from support.fake_hub import FakeHub
from support.planning import lines, new_hub, operator, plan


def test_the_first_plan_creates_everything_and_sets_modules() -> None:
    made = plan(new_hub())
    assert lines(made) == [
        ("update", "Manifest", "d1"),
        ("create", "ModuleTwin", "d1/edge-expose"),
        ("create", "Service", "db"),
        ("create", "Service", "web-out"),
    ]
    assert isinstance(made.step, SetModules)


def test_after_applying_there_is_nothing_left_to_do() -> None:
    hub = new_hub()
    apply_plan(hub, plan(hub), operator())
    assert plan(hub).changes == ()
    assert plan(hub).step is None


def test_when_only_an_exposure_changed_the_twin_is_patched_under_its_etag() -> None:
    hub = applied_hub()
    made = plan(hub, SPEC.replace('"8080:80"', '"8081:80"'))
    assert lines(made) == [("update", "ModuleTwin", "d1/edge-expose"), ("update", "Service", "web-out")]
    assert made.step == PatchTwin(
        "d1", "edge-expose", {"exposures": {"web-out": {"ports": ["8081:80"]}}}, hub.twins["d1", "edge-expose"].etag
    )
    apply_plan(hub, made, operator())
    assert "apply_content" not in hub.calls[-6:]
    assert plan(hub, SPEC.replace('"8080:80"', '"8081:80"')).changes == ()


def test_a_field_left_out_is_taken_out_of_the_twin() -> None:
    hub = applied_hub()
    made = plan(hub, SPEC.replace(", address: 10.0.0.11", ""))
    assert isinstance(made.step, PatchTwin)
    assert made.step.patch == {"exposures": {"web-out": {"address": None}}}


def test_a_changed_image_sets_modules() -> None:
    made = plan(applied_hub(), SPEC.replace("a/web:1", "a/web:2"))
    assert lines(made) == [("update", "Manifest", "d1")]
    assert isinstance(made.step, SetModules)


def test_the_reported_address_is_shown_for_an_exposure_without_one() -> None:
    hub = applied_hub(SPEC.replace(", address: 10.0.0.11", ""))
    hub.report(
        "d1",
        "edge-expose",
        {"exposures": {"web-out": {"state": "Ready", "address": "10.0.0.12", "service": "ns1/web-out"}}},
    )
    made = plan(hub, SPEC.replace(", address: 10.0.0.11", "").replace('"8080:80"', '"8081:80"'))
    service = next(change for change in made.changes if change.kind == "Service")
    assert (service.namespace, service.name) == ("ns1", "web-out")
    assert service.after is not None
    assert service.after["spec"]["loadBalancerIP"] == "10.0.0.12"


def test_the_digest_covers_what_is_shown_and_no_etag() -> None:
    hub = applied_hub()
    text = SPEC.replace('"8080:80"', '"8081:80"')
    first = plan(hub, text)
    assert plan(hub, text).digest == first.digest
    hub.touch("d1", "edge-expose")
    assert plan(hub, text).digest == first.digest
    hub.report("d1", "edge-expose", READY)
    assert plan(hub, text).digest != first.digest, "another address stops answering on port 8080"


def test_a_plan_goes_on_where_the_hub_moved_and_the_plan_is_still_the_same() -> None:
    hub = applied_hub()
    text = SPEC.replace('"8080:80"', '"8081:80"')
    made = plan(hub, text)
    hub.touch("d1", "edge-expose")
    assert "patched" in apply_plan(hub, made, operator(), lambda: plan(hub, text))
    assert plan(hub, text).changes == ()


def test_a_plan_that_became_another_one_is_refused_and_nothing_is_sent() -> None:
    hub = applied_hub()
    text = SPEC.replace('"8080:80"', '"8081:80"')
    made = plan(hub, text)
    hub.patch_module_twin("d1", "edge-expose", {"exposures": {"mine": {"module": "web", "ports": ["9:9"]}}}, "*")
    before = hub.module_twin("d1", "edge-expose").desired
    with pytest.raises(Refused, match="changed since the plan"):
        apply_plan(hub, made, operator(), lambda: plan(hub, text))
    assert hub.module_twin("d1", "edge-expose").desired == before


def test_a_plan_that_somebody_else_has_carried_out_is_done() -> None:
    hub = applied_hub()
    text = SPEC.replace('"8080:80"', '"8081:80"')
    made = plan(hub, text)
    apply_plan(hub, plan(hub, text), operator())
    assert "nothing to change" in apply_plan(hub, made, operator(), lambda: plan(hub, text))


def test_a_twin_that_somebody_writes_all_the_time_is_given_up_on() -> None:
    hub = applied_hub()
    text = SPEC.replace('"8080:80"', '"8081:80"')

    def again() -> Plan:
        made = plan(hub, text)
        hub.touch("d1", "edge-expose")
        return made

    with pytest.raises(Refused, match="changes all the time"):
        apply_plan(hub, again(), operator(), again)


def test_apply_with_expect_refuses_another_plan() -> None:
    hub = applied_hub()
    made = plan(hub, SPEC.replace('"8080:80"', '"8081:80"'))
    check_expected(made, made.digest)
    check_expected(made, made.digest[:12])
    for wrong in ("0" * 64, "", made.digest[:4]):
        with pytest.raises(Refused, match="has changed since"):
            check_expected(made, wrong)


def test_secrets_are_compared_and_sent_but_never_shown() -> None:
    text = SPEC + 'registries: {acme: {address: r.example.com, username: u, password: "${env:PW}"}}\n'
    hub = new_hub()
    made = plan(hub, text, {"PW": "hunter2"})
    assert "hunter2" not in json.dumps(made.to_json())
    assert "${env:PW}" in json.dumps(made.to_json())
    apply_plan(hub, made, operator())
    credentials = hub.twins["d1", "$edgeAgent"].desired["runtime"]["settings"]["registryCredentials"]
    assert credentials["acme"]["password"] == "hunter2"
    assert plan(hub, text, {"PW": "hunter2"}).changes == ()
    changed = plan(hub, text, {"PW": "other-secret"})
    assert changed.changes
    assert "hunter2" not in json.dumps(changed.to_json())
    assert "other-secret" not in json.dumps(changed.to_json())


def test_a_secret_that_is_not_set_is_an_input_error_that_names_it() -> None:
    text = SPEC + 'registries: {acme: {address: r.example.com, username: u, password: "${env:PW}"}}\n'
    with pytest.raises(InputError, match="PW"):
        secrets_for(spec_of_text(text), {})


def test_a_device_that_is_not_registered_is_refused() -> None:
    with pytest.raises(Refused, match="not registered"):
        plan(FakeHub())


def many(*names: str) -> str:
    return (
        SPEC.split("exposures:")[0]
        + "exposures:\n"
        + "".join(f"  {name}: {{module: web, type: ClusterIP, ports: [80]}}\n" for name in names)
    )


def test_many_removals_need_a_stronger_word() -> None:
    hub = applied_hub(many("a", "b", "c", "d"))
    made = plan(hub, many("d"))
    with pytest.raises(Refused) as refused:
        check_dangers(made, {})
    assert "removals=3" in refused.value.hint
    with pytest.raises(Refused):
        check_dangers(made, {"removals": 2})
    check_dangers(made, {"removals": 3})


def test_one_removal_of_several_is_an_ordinary_change() -> None:
    check_dangers(plan(applied_hub(many("a", "b", "c", "d")), many("a", "b", "c")), {})


def test_a_range_that_leaves_held_addresses_needs_a_stronger_word() -> None:
    text = SPEC.replace(", address: 10.0.0.11", "")
    hub = applied_hub(text)
    hub.report("d1", "edge-expose", {"exposures": {"web-out": {"state": "Ready", "address": "10.0.0.12"}}})
    made = plan(
        hub,
        text.replace("10.0.0.10-10.0.0.20", "10.0.0.15-10.0.0.20").replace("edgehub: 10.0.0.10", "edgehub: 10.0.0.15"),
    )
    assert [danger.kind for danger in made.dangers] == ["moves"]


def test_an_address_of_a_named_pool_does_not_leave_the_range() -> None:
    text = SPEC.replace("nodeIPs:", "pools: {dmz: 10.9.0.1-10.9.0.3}, nodeIPs:")
    text = text.replace(", address: 10.0.0.11", ", pool: dmz")
    hub = applied_hub(text)
    hub.report("d1", "edge-expose", {"exposures": {"web-out": {"state": "Ready", "address": "10.9.0.2"}}})
    made = plan(hub, text.replace("8080:80", "8081:80"))
    assert made.changes
    assert made.dangers == ()


def test_modules_that_set_modules_would_remove_need_a_stronger_word() -> None:
    hub = applied_hub()
    made = plan(
        hub,
        SPEC.replace('  database: {image: "a/db:1"}\n', "").replace(
            "  db: {module: database, type: ClusterIP, ports: [5432]}\n", ""
        ),
    )
    assert [danger.kind for danger in made.dangers] == ["modules"]
