"""Plans: what changes, the smallest step, a digest that moves when the hub moves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.hub.api import Deployment
from edge_expose_cloud.plan.deployment import RETIRED_CONDITION, RETIRED_LABEL
from edge_expose_cloud.plan.model import CreateDeployment, PatchTwin, Plan, SetModules, UpdateDeployment
from edge_expose_cloud.usecases.apply import apply_plan, check_dangers, check_expected
from edge_expose_cloud.usecases.expose import plan_expose, plan_unexpose
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.plan import make_plan
from edge_expose_cloud.usecases.secrets import secrets_for
from edge_expose_contract.merging import merge_patch, merged
from support.cloud import NOW, READY, SPEC, applied_hub, spec_of_text
from support.fake_hub import FakeHub


def plan(hub: FakeHub, text: str = SPEC, environment: dict[str, str] | None = None) -> Plan:
    return make_plan(hub, spec_of_text(text), environment or {})


def operator(saved: dict[str, str] | None = None) -> Operator:
    def save(name: str, text: str) -> str:
        if saved is not None:
            saved[name] = text
        return name

    return Operator("me@here", lambda: NOW, save)


def lines(made: Plan) -> list[tuple[str, str, str]]:
    return [(change.action, change.kind, change.name) for change in made.changes]


def new_hub() -> FakeHub:
    hub = FakeHub()
    hub.add_device("d1")
    return hub


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
        with pytest.raises(Refused, match="moved"):
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


# -- applying --


def test_set_modules_writes_a_backup_takes_a_lease_and_gives_it_back() -> None:
    hub = new_hub()
    saved: dict[str, str] = {}
    leases: list[Any] = []
    hub.before = lambda call: (
        leases.append(hub.twins["d1", None].tags.get("edgeExposeLease")) if call == "apply_content" else None
    )
    apply_plan(hub, plan(hub), operator(saved))
    assert leases[0]["by"] == "me@here"
    assert "edgeExposeLease" not in hub.twins["d1", None].tags
    (backup,) = saved.values()
    assert set(json.loads(backup)["modulesContent"]) == {"$edgeAgent", "$edgeHub"}


def test_set_modules_is_refused_while_somebody_else_holds_the_lease() -> None:
    hub = new_hub()
    hub.patch_device_tags("d1", {"edgeExposeLease": {"by": "you@there", "until": "2999-01-01T00:00:00+00:00"}}, "*")
    with pytest.raises(Refused, match="you@there"):
        apply_plan(hub, plan(hub), operator())
    assert "apply_content" not in hub.calls


def test_a_lease_that_ran_out_is_no_obstacle() -> None:
    hub = new_hub()
    hub.patch_device_tags("d1", {"edgeExposeLease": {"by": "you@there", "until": "2020-01-01T00:00:00+00:00"}}, "*")
    assert "set" in apply_plan(hub, plan(hub), operator())


@pytest.mark.parametrize("module", ["edge-expose", "$edgeAgent"])
def test_a_twin_that_moved_since_the_plan_is_not_overwritten(module: str) -> None:
    hub = applied_hub()
    made = plan(hub, SPEC.replace("a/web:1", "a/web:2"))
    hub.touch("d1", module)
    with pytest.raises(Refused, match="changed since the plan"):
        apply_plan(hub, made, operator())
    assert hub.twins["d1", "$edgeAgent"].desired["modules"]["web"]["settings"]["image"] == "a/web:1"
    assert "edgeExposeLease" not in hub.twins["d1", None].tags


def test_a_twin_that_moves_between_the_comparison_and_the_patch_is_not_overwritten() -> None:
    hub = applied_hub()
    made = plan(hub, SPEC.replace('"8080:80"', '"8081:80"'))
    hub.before = lambda call: hub.touch("d1", "edge-expose") if call == "patch_module_twin" else None
    with pytest.raises(Refused, match="changed since the plan"):
        apply_plan(hub, made, operator())
    assert hub.twins["d1", "edge-expose"].desired["exposures"]["web-out"]["ports"] == ["8080:80"]


def test_set_modules_is_refused_on_a_device_that_a_deployment_targets() -> None:
    hub = new_hub()
    before = plan(hub)
    apply_plan(hub, make_plan(hub, spec_of_text(FLEET), {}), operator())
    hub.target(next(iter(hub.configurations)), "d1")
    with pytest.raises(Refused, match="d1 is targeted by the automatic deployment north-"):
        plan(hub)
    with pytest.raises(Refused, match="d1 is targeted by the automatic deployment north-"):
        apply_plan(hub, before, operator())


def test_a_key_that_a_deployment_sets_is_not_patched() -> None:
    hub = applied_hub()
    content = {"modulesContent": {"edge-expose": {"properties.desired.exposures.web-out": {"module": "web"}}}}
    hub.configurations["north"] = Deployment("north", content, "tags.a=1", 3, {}, {}, etag="E")
    hub.target("north", "d1")
    with pytest.raises(Refused, match=r"exposures\.web-out is set by the deployment north"):
        plan(hub, SPEC.replace('"8080:80"', '"8081:80"'))
    made = plan(hub, SPEC.replace("ports: [5432]", "ports: [5433]"))
    assert isinstance(made.step, PatchTwin), "another key is nobody's"


def test_another_namespace_moves_every_service() -> None:
    hub = applied_hub()
    hub.report("d1", "edge-expose", READY)
    made = plan(hub, SPEC.replace("network: {", "network: {namespace: shop, "))
    services = [(c.action, c.namespace, c.name) for c in made.changes if c.kind == "Service"]
    assert sorted(services) == [
        ("create", "shop", "db"),
        ("create", "shop", "web-out"),
        ("delete", "d1", "db"),
        ("delete", "d1", "web-out"),
    ]


def test_what_runs_beside_a_document_that_the_module_refuses_is_known_by_its_report() -> None:
    hub = applied_hub()
    more = {**READY["exposures"], "hand": {"state": "Ready", "address": "10.0.0.12", "service": "d1/hand"}}
    hub.report("d1", "edge-expose", {**READY, "exposures": more})
    hub.patch_module_twin("d1", "edge-expose", {"schemaVersion": "2.0"}, "*")
    made = plan(hub)
    assert ("delete", "Service", "hand") in lines(made)


def test_a_manifest_of_the_other_driver_takes_no_address_that_a_service_of_ours_holds() -> None:
    hub = applied_hub()
    hub.report("d1", "edge-expose", READY)
    text = SPEC.replace("target:", "driver: manifest\ntarget:").replace(", address: 10.0.0.11", "")
    made = plan(hub, text)
    service = next(change for change in made.changes if (change.kind, change.name) == ("Service", "web"))
    assert service.after is not None
    assert service.after["spec"]["loadBalancerIP"] == "10.0.0.12"


def test_what_is_kept_of_a_module_without_a_manifest_entry_is_read_and_comes_to_rest() -> None:
    hub = new_hub()
    text = SPEC + "keep: {elsewhere: {k: 1}}\n"
    apply_plan(hub, plan(hub, text), operator())
    assert plan(hub, text).changes == ()


def test_a_value_that_breaks_a_rule_of_the_spec_once_it_is_filled_in_is_found_before_it_is_sent() -> None:
    hub = new_hub()
    text = SPEC.replace("a/web:1", "a/web:${env:TAG}")
    with pytest.raises(InputError) as caught:
        plan(hub, text, {"TAG": "1 s3cret image"})
    (found,) = caught.value.findings
    assert found.path == "modules.web.image"
    assert "${env:TAG}" in found.message
    assert "s3cret" not in found.message


# -- deployments --

FLEET = """
schemaVersion: "1.0"
name: north
target: {condition: "tags.site='north'", priority: 3}
modules: {web: {image: "a/web:1"}}
exposures: {shop: {module: web, ports: ["80"]}}
"""


def do(hub: FakeHub, text: str) -> Plan:
    made = plan(hub, text)
    apply_plan(hub, made, operator())
    return made


def test_a_deployment_is_created_with_metrics_and_then_stays() -> None:
    hub = FakeHub()
    made = do(hub, FLEET)
    assert isinstance(made.step, CreateDeployment)
    (found,) = hub.configurations.values()
    assert (found.target_condition, found.priority) == ("tags.site='north'", 3)
    assert set(found.metric_queries) == {"exposuresReady", "exposuresNotReady", "documentRefused"}
    assert plan(hub, FLEET).changes == ()


def test_new_content_is_a_new_id_and_the_old_one_is_retired_after_it() -> None:
    hub = FakeHub()
    do(hub, FLEET)
    hub.calls.clear()
    do(hub, FLEET.replace('"80"', '"81"'))
    assert [call for call in hub.calls if call != "deployments"] == ["create_deployment", "update_deployment"]
    conditions = [(item.target_condition, RETIRED_LABEL in item.labels) for item in hub.configurations.values()]
    assert conditions == [(RETIRED_CONDITION, True), ("tags.site='north'", False)]


def test_of_two_operators_that_apply_at_the_same_moment_one_wins_and_the_other_is_told() -> None:
    hub = FakeHub()
    do(hub, FLEET)
    first, second = plan(hub, FLEET.replace('"80"', '"81"')), plan(hub, FLEET.replace('"80"', '"82"'))
    hub.before = lambda call: meanwhile() if call == "create_deployment" else None

    def meanwhile() -> None:
        hub.before = None
        apply_plan(hub, first, operator())

    with pytest.raises(Refused, match="is live"):
        apply_plan(hub, second, operator())
    live = [item for item in hub.configurations.values() if RETIRED_LABEL not in item.labels]
    assert len(live) == 1
    assert isinstance(first.step, CreateDeployment)
    assert live[0].id == first.step.deployment.id
    assert plan(hub, FLEET.replace('"80"', '"81"')).changes == ()


def test_a_deployment_that_came_since_the_plan_is_not_replaced_unseen() -> None:
    hub = FakeHub()
    first, second = plan(hub, FLEET), plan(hub, FLEET.replace('"80"', '"82"'))
    apply_plan(hub, first, operator())
    hub.calls.clear()
    with pytest.raises(Refused, match="is live"):
        apply_plan(hub, second, operator())
    assert "create_deployment" not in hub.calls


def test_only_the_last_three_retired_ones_are_kept() -> None:
    hub = FakeHub()
    for port in range(80, 86):
        do(hub, FLEET.replace('"80"', f'"{port}"'))
    assert len(hub.configurations) == 4


def test_going_back_to_old_content_makes_a_new_id() -> None:
    hub = FakeHub()
    for port in (80, 81, 80):
        do(hub, FLEET.replace('"80"', f'"{port}"'))
    assert len({item.id for item in hub.configurations.values()}) == 3


def test_another_priority_is_an_update_in_place() -> None:
    hub = FakeHub()
    do(hub, FLEET)
    made = do(hub, FLEET.replace("priority: 3", "priority: 4"))
    assert isinstance(made.step, UpdateDeployment)
    assert [item.priority for item in hub.configurations.values()] == [4]


def test_another_condition_and_a_dropped_exposure_need_a_stronger_word() -> None:
    hub = FakeHub()
    do(hub, FLEET)
    assert [danger.kind for danger in plan(hub, FLEET.replace("north'", "south'")).dangers] == ["retarget"]
    dropped = FLEET.replace('exposures: {shop: {module: web, ports: ["80"]}}', "exposures: {}")
    assert [danger.kind for danger in plan(hub, dropped).dangers] == ["removals"]


def test_another_condition_names_the_devices_that_join_and_leave() -> None:
    north, south = "tags.site='north'", "tags.site='south'"
    hub = FakeHub(matching={north: ["n1", "both"], south: ["both", *(f"s{number}" for number in range(7))]})
    do(hub, FLEET)
    made = plan(hub, FLEET.replace("north'", "south'"))
    assert [item.text for item in made.impact if item.kind == "targets"] == [
        "7 devices (s0, s1, s2, s3, s4 and 2 more) get this deployment",
        "1 device (n1) gets this deployment no longer: what it brought goes, unless another brings it",
    ]


def test_a_port_that_every_device_loses_is_named() -> None:
    hub = FakeHub()
    do(hub, FLEET)
    made = plan(hub, FLEET.replace('ports: ["80"]', 'ports: ["81"]'))
    assert "port 80/tcp of shop stops answering for everyone" in [item.text for item in made.impact]


# -- expose and unexpose --


def test_an_exposure_that_has_expired_is_told() -> None:
    made = plan_expose(
        applied_hub(), "d1", "api", {"module": "web", "ports": ["9000:80"], "expires": "2020-01-01T00:00:00Z"}
    )
    assert [(item.rule, item.severity) for item in made.findings] == [("ExposureExpired", "warning")]


def test_expose_patches_one_exposure_and_unexpose_takes_it_out() -> None:
    hub = applied_hub()
    made = plan_expose(hub, "d1", "api", {"module": "web", "ports": ["9000:80"]})
    apply_plan(hub, made, operator())
    assert hub.twins["d1", "edge-expose"].desired["exposures"]["api"] == {"module": "web", "ports": ["9000:80"]}
    assert set(hub.twins["d1", "edge-expose"].desired["exposures"]) == {"api", "db", "web-out"}
    apply_plan(hub, plan_unexpose(hub, "d1", "api"), operator())
    assert "api" not in hub.twins["d1", "edge-expose"].desired["exposures"]


@pytest.mark.parametrize(
    ("name", "fields", "rule"),
    [
        ("api", {"module": "web", "ports": ["9000:80"], "address": "10.9.9.9"}, "AddressOutsideRange"),
        ("api", {"module": "web", "ports": ["9000:80"], "address": "10.0.0.11"}, "AddressTwice"),
        ("api", {"module": "ghost", "ports": ["80"]}, "ExposureModuleUnknown"),
        ("web", {"module": "web", "ports": ["80"]}, "ExposureNamedLikeModule"),
        ("api", {"ports": ["80"]}, "OneTarget"),
        ("API", {"module": "web", "ports": ["80"]}, "InvalidName"),
    ],
)
def test_expose_refuses_what_a_spec_could_not_say(name: str, fields: dict[str, Any], rule: str) -> None:
    hub = applied_hub()
    with pytest.raises(InputError) as wrong:
        plan_expose(hub, "d1", name, fields)
    assert rule in {item.rule for item in wrong.value.findings}
    assert "patch_module_twin" not in hub.calls


def test_expose_is_refused_for_a_key_that_a_deployment_owns() -> None:
    hub = applied_hub()
    do(hub, FLEET)
    hub.target(next(iter(hub.configurations)), "d1")
    with pytest.raises(Refused, match="set by the deployment"):
        plan_expose(hub, "d1", "shop", {"module": "web", "ports": ["80"]})
    made = plan_expose(hub, "d1", "mine", {"module": "web", "ports": ["80"]})
    assert made.changes


def test_unexpose_names_what_there_is() -> None:
    with pytest.raises(Refused) as refused:
        plan_unexpose(applied_hub(), "d1", "ghost")
    assert refused.value.hint == "declared there: db, web-out"


def test_expose_without_the_module_says_what_to_do() -> None:
    with pytest.raises(Refused, match="has no module edge-expose"):
        plan_expose(new_hub(), "d1", "api", {"module": "web", "ports": ["80"]})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"a": 1}, {}),
        ({}, {"a": {"b": 1}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}),
        ({"a": [1]}, {"a": [1, 2]}),
        ({"a": 1}, {"a": True}),
        ({"a": {"b": 1}}, {"a": 5}),
        ({"a": 5}, {"a": {"b": 1}}),
    ],
)
def test_a_merge_patch_leads_from_before_to_after(before: dict[str, Any], after: dict[str, Any]) -> None:
    patch = merge_patch(before, after)
    assert merged(before, patch) == after
    assert (patch == {}) == (before == after and str(before) == str(after))
