"""The pure parts: forms, the address map, fleet rows, history, ownership, budgets and what a device says of itself."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.hub.api import Deployment, Twin
from edge_expose_cloud.iotedge.module_ports import known_ports
from edge_expose_cloud.plan.device import DeviceState
from edge_expose_cloud.plan.ownership import owned_keys
from edge_expose_cloud.plan.render import text_of
from edge_expose_cloud.plan.topology import topology_of
from edge_expose_cloud.portal.forms.fields import (
    fields_of,
    form_of_exposure,
    form_of_preset,
    in_words,
    place_of,
    read_form,
    site_fields,
)
from edge_expose_cloud.portal.http.guards import Hosts
from edge_expose_cloud.portal.live import fleet
from edge_expose_cloud.portal.live.events import Events
from edge_expose_cloud.portal.live.poller import Budget, Poller
from edge_expose_cloud.portal.live.reading_hub import ReadingHub
from edge_expose_cloud.portal.pages.templates import ago
from edge_expose_cloud.portal.views.ip_map import ip_map
from edge_expose_cloud.portal.views.presets import BY_KEY, open_link, try_it
from edge_expose_cloud.spec.model import Network
from edge_expose_contract.addressing import parse_address
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.models import Exposure
from edge_expose_contract.ports import PortMapping, Protocol
from edge_expose_contract.reported import parse_reported
from support.cloud import READY, applied_hub
from support.waiting import eventually

RANGE = "10.0.0.10-10.0.0.20"
NOW = dt.datetime(2026, 11, 25, 12, 0, tzinfo=dt.UTC)


def made(fields: dict[str, Any]) -> Exposure:
    return Exposure.model_validate(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"module": "web", "ports": ["8080:80/tcp"]},
        {"selector": ["app=ws", "tier=front"], "ports": ["80:80/tcp"], "type": "ClusterIP"},
        {"endpoints": ["10.1.0.5", "10.1.0.6"], "ports": ["80:8080/tcp"], "address": "10.0.0.11"},
        {
            "module": "m",
            "ports": ["53:53/tcp", "53:53/udp"],
            "share": "dns",
            "allowFrom": ["10.0.0.0/8", "10.1.0.0/16"],
        },
        {"module": "m", "ports": ["5000:5000/udp"], "hostname": "a.example.com", "probe": "tcp", "namespace": "web"},
        {"module": "m", "ports": ["80:80/tcp"], "expires": "2026-12-01T00:00:00Z", "adopt": True, "pool": "dmz"},
        {"module": "m", "ports": ["80:80/tcp"], "sessionAffinity": "ClientIP", "externalTrafficPolicy": "Local"},
        {"module": "m", "ports": ["80:80/tcp"], "labels": ["a=b"], "annotations": ["x/y=z"], "ipFamilies": ["IPv4"]},
    ],
)
def test_an_exposure_survives_being_shown_in_the_form_and_posted_unchanged(fields) -> None:
    exposure = made(fields)
    form = form_of_exposure("x", exposure)
    posted = dict(form.values)
    for row, (published, target, protocol) in enumerate(form.ports):
        posted |= {f"out{row}": published, f"in{row}": target, f"proto{row}": protocol}
    assert made(fields_of(read_form(posted), fields, NOW)) == exposure


def test_port_objects_keep_their_name_as_long_as_their_numbers_stay() -> None:
    base = {"module": "m", "ports": [{"port": 443, "targetPort": "https", "name": "tls", "appProtocol": "https"}]}
    form = form_of_exposure("x", made(base))
    assert fields_of(form, base, NOW)["ports"] == base["ports"]
    changed = read_form({**form.values, "out0": "444", "in0": "https", "proto0": "TCP"})
    assert fields_of(changed, base, NOW)["ports"] == [{"port": 444, "targetPort": "https", "protocol": "TCP"}]


def test_a_time_box_is_counted_from_now_and_kept_when_it_is_not_touched() -> None:
    assert fields_of(read_form({"open_for": "4h"}), {}, NOW)["expires"] == "2026-11-25T16:00:00Z"
    assert (
        fields_of(read_form({"open_for": "keep", "expires": "2027-01-01T00:00:00Z"}), {}, NOW)["expires"]
        == "2027-01-01T00:00:00Z"
    )
    assert "expires" not in fields_of(read_form({"open_for": "", "expires": "2027-01-01T00:00:00Z"}), {}, NOW)


@pytest.mark.parametrize(
    ("preset", "ports", "rows"),
    [
        ("web", (), [("8080", "80", "TCP")]),
        ("web", ("80/tcp", "9000/udp"), [("8080", "80", "TCP"), ("9000", "9000", "UDP")]),
        ("rtsp", ("8554/tcp",), [("554", "8554", "TCP")]),
        ("rtsp", ("8554/tcp", "7000/udp"), [("554", "8554", "TCP"), ("8000", "7000", "UDP")]),
        ("rtsp", ("8080/tcp", "554/tcp"), [("8080", "8080", "TCP"), ("554", "554", "TCP")]),
        ("custom", ("8554/tcp",), [("8554", "8554", "TCP")]),
    ],
)
def test_a_preset_and_what_a_module_names_are_joined(
    preset: str, ports: tuple[str, ...], rows: list[tuple[str, str, str]]
) -> None:
    assert list(form_of_preset(BY_KEY[preset], "m", ports, "").ports) == rows


def test_a_database_is_meant_for_the_cluster() -> None:
    assert form_of_preset(BY_KEY["sql"], "", (), "").get("reach") == "inside"


@pytest.mark.parametrize(
    ("path", "rule", "place"),
    [
        ("exposures.x.ports[1]", "InvalidPort", "out1"),
        ("ports", "MissingField", "out0"),
        ("exposures.x.address", "InvalidAddress", "address"),
        ("allowFrom[0]", "InvalidCIDR", "allow_from"),
        ("exposures.x", "InvalidName", "name"),
        ("network.externalServiceIPs", "PoolExhausted", ""),
    ],
)
def test_a_finding_belongs_to_its_field(path, rule, place) -> None:
    assert place_of(Finding(rule, "error", path, ""), "x") == place


@pytest.mark.parametrize(
    ("rule", "message", "says"),
    [
        ("InvalidPort", "port 99999 is not between 1 and 65535", "a range such as 5000-5010"),
        ("RangeNoEdgehub", "no address is reserved for edgeHub", "add it to the reserved addresses"),
        ("AddressOutsideRange", "10.0.0.9 is outside", "on the Compute network page"),
        ("RangeTooSmall", "2 addresses are needed", "share addresses"),
        ("ExposureModuleUnknown", "module 'x' is not in this spec (modules: a, b)", "module 'x' is not on this device"),
    ],
)
def test_a_finding_speaks_of_what_is_on_the_screen(rule, message, says) -> None:
    found = in_words(finding(rule, "exposures.x", message))
    assert says in f"{found.message} {found.hint}"
    for syntax in ("[published", "{edgehub", "network.", "spec", "share: "):
        assert syntax not in f"{found.message} {found.hint}"


def test_a_name_that_was_typed_wins_over_the_presets() -> None:
    assert form_of_preset(BY_KEY["web"], "m", (), "", "mine").get("name") == "mine"
    assert form_of_preset(BY_KEY["web"], "m", (), "").get("name") == "web"


def test_the_network_form_removes_what_was_emptied() -> None:
    given = {"external": "10.0.0.1-10.0.0.2, 10.0.1.0/28", "nodes": "", "who0": "hub", "reserved0": "10.0.0.1"}
    fields, wrong = site_fields(given)
    assert fields == {
        "externalServiceIPs": ["10.0.0.1-10.0.0.2", "10.0.1.0/28"],
        "nodeIPs": None,
        "reserved": {"hub": "10.0.0.1"},
    }
    assert not wrong


def test_every_kind_of_address_is_on_the_map_and_says_what_it_is() -> None:
    network = Network.model_validate(
        {"externalServiceIPs": "10.0.0.10-10.0.0.20", "reserved": {"edgehub": "10.0.0.10"}}
    )
    exposures = {
        "web": made({"module": "m", "ports": [80], "address": "10.0.0.11"}),
        "auto": made({"module": "m", "ports": [80]}),
        "a": made({"module": "m", "ports": [81], "share": "k"}),
        "b": made({"module": "m", "ports": [82], "share": "k"}),
        "late": made({"module": "m", "ports": [80], "address": "10.0.0.15"}),
    }
    addresses = {"web": "10.0.0.11", "auto": "10.0.0.12", "a": "10.0.0.13", "b": "10.0.0.13"}
    held = {name: (parse_address(text),) for name, text in addresses.items()}
    report = parse_reported(
        {
            "pool": {"ranges": "10.0.0.10-10.0.0.20", "size": 11, "used": 6, "reserved": 1, "free": 4},
            "exposures": {"late": {"state": "Blocked", "reason": "AddressTaken"}},
        }
    )
    drawn = ip_map(network, exposures, held, report, {parse_address("10.0.0.16"): "default/legacy"})
    kinds = {cell.short: cell.kind for cell in drawn.cells}
    assert kinds == {
        "10": "reserved",
        "11": "pinned",
        "12": "held",
        "13": "shared",
        "15": "foreign",
        "16": "foreign",
        **dict.fromkeys(("14", "17", "18", "19", "20"), "free"),
    }
    labels = [cell.label for cell in drawn.cells]
    assert "10.0.0.16: in use by another Service (default/legacy)" in labels
    assert drawn.elsewhere == 1, "six are used: three of ours, two named, one that nobody named"


def test_a_large_range_is_drawn_in_part_and_says_so() -> None:
    drawn = ip_map(Network.model_validate({"externalServiceIPs": "10.0.0.0/16"}), {}, {}, parse_reported({}))
    assert (len(drawn.cells), drawn.hidden) == (256, 65536 - 256)


def test_the_map_has_the_addresses_of_named_pools_too_each_once() -> None:
    site = {"externalServiceIPs": "10.0.0.10-10.0.0.12", "pools": {"dmz": "10.0.0.12-10.0.0.13"}}
    drawn = ip_map(Network.model_validate(site), {}, {}, parse_reported({}))
    assert [cell.short for cell in drawn.cells] == ["10", "11", "12", "13"]


@pytest.mark.parametrize(
    "answer", [None, [], "x", {"services": None}, {"services": [None, {"external": 5, "ours": "yes"}]}]
)
def test_a_topology_that_makes_no_sense_is_left_out(answer) -> None:
    found = topology_of(answer)
    assert not found.by_exposure
    assert not found.foreign()


def test_a_topology_names_pods_cluster_ips_and_strangers() -> None:
    web = {"service": "d1/web", "ours": True, "exposure": "web", "clusterIPs": ["172.28.0.7"], "pods": ["10.1.0.3"]}
    legacy = {"service": "default/legacy", "ours": False, "external": ["10.0.0.14", "no address"]}
    found = topology_of({"services": [web, legacy]})
    assert found.by_exposure["web"].pods == ("10.1.0.3",)
    assert found.foreign() == {parse_address("10.0.0.14"): "default/legacy"}


def row(device: str, **reported: Any) -> fleet.Row:
    twin = Twin(device, MODULE_ID, "E", reported={**READY, **reported}, connection_state="Connected")
    return fleet.with_module(None, twin, 1.0)


def test_the_fleet_is_searched_filtered_and_paged() -> None:
    rows = [row(f"d{number:03d}") for number in range(120)]
    rows[7] = row("d007", exposures={"kiosk": {"state": "Blocked", "address": "10.9.9.9"}})
    rows[8] = fleet.with_device(rows[8], Twin("d008", None, "E", tags={"site": "north", "place": {"hall": 3}}), 1.0)

    listing = fleet.Listing(rows)

    def ids(**question: Any) -> list[str]:
        return [item.device_id for item in fleet.answer(listing, fleet.Question(**question)).rows]

    assert ids(text="KIOSK") == ids(text="10.9.9.9") == ids(show="attention") == ["d007"]
    assert ids()[:3] == ["d007", "d000", "d001"], "what needs attention stands first"
    assert (ids(sort="device")[0], ids(sort="-device")[0], ids(sort="state")[0]) == ("d000", "d119", "d007")
    assert ids(tag="site=north") == ids(tag="place.hall=3") == ids(text="site=north d008") == ["d008"]
    assert ids(text="nothing") == []
    last = fleet.answer(listing, fleet.Question(page=99))
    assert (last.page, last.pages, len(last.rows)) == (3, 3, 20)
    sums = listing.totals
    assert (sums.counts["blocked"], sums.devices["attention"], sums.devices[""]) == (1, 1, 120)


def test_the_fleet_is_sorted_once_for_each_order_and_version_of_its_rows() -> None:
    hub = applied_hub()
    reading, events = ReadingHub.of(hub), Events()
    poller = Poller(hub, reading, events, 600)
    assert poller.listing() is poller.listing(), "there is nothing yet"
    poller._take([hub.twins["d1", MODULE_ID]], fleet.with_module)
    first = poller.listing()
    assert [row.device_id for row in first.ordered("device")] == ["d1"]
    assert first.ordered("-age") is first.ordered("-age")
    assert first.ordered("no such column") is first.ordered("attention")
    assert poller.listing() is first
    poller._take([Twin("d2", MODULE_ID, "E")], fleet.with_module)
    eventually(lambda: len(poller.listing().ordered("")) == 2)


def test_numbers_that_a_device_invents_do_not_break_a_row() -> None:
    odd = row(
        "d", summary={"ready": "x", "pending": -1, "blocked": True, "failed": 1e99}, pool={"size": "many", "used": None}
    )
    assert (odd.total, odd.available, odd.state) == (2, 0, "Ready")
    assert row("d", summary=[], pool=3, exposures="x").total == 0


def test_the_query_budget_lets_a_burst_through_and_then_its_rate() -> None:
    clock = [0.0]
    budget = Budget(60, lambda: clock[0])
    assert [budget.take() for _ in range(60)] == [0.0] * 60
    assert budget.take() == pytest.approx(1.0)
    clock[0] = 2.0
    assert (budget.take(), budget.take()) == (0.0, 0.0)
    assert budget.take() > 0


def mapping(port: int, protocol: str = "TCP", app: str | None = None) -> PortMapping:
    return PortMapping(port, port, Protocol(protocol), "p", app)


@pytest.mark.parametrize(
    ("address", "port", "probe", "url"),
    [
        ("10.0.0.1", mapping(80), None, "http://10.0.0.1/"),
        ("10.0.0.1", mapping(443), None, "https://10.0.0.1/"),
        ("10.0.0.1", mapping(8443), None, None),
        ("10.0.0.1", mapping(9443, app="https"), None, "https://10.0.0.1:9443/"),
        ("10.0.0.1", mapping(8080), "/healthz", "http://10.0.0.1:8080/"),
        ("10.0.0.1", mapping(8080, app="mqtt"), "/healthz", None),
        ("10.0.0.1", mapping(8080), "tcp", None),
        ("10.0.0.1", mapping(8554), None, "rtsp://10.0.0.1:8554"),
        ("fd00::1", mapping(8080, app="http"), None, "http://[fd00::1]:8080/"),
        ("10.0.0.1", mapping(80, "UDP"), None, None),
        ("10.0.0.1", mapping(1883), None, None),
        ("evil.example", mapping(80), None, None),
        ("10.0.0.1/x", mapping(80), None, None),
    ],
)
def test_only_what_is_known_to_speak_http_becomes_a_link(
    address: str, port: PortMapping, probe: str | None, url: str | None
) -> None:
    assert open_link(address, port, probe) == url


@pytest.mark.parametrize(
    ("address", "port", "command"),
    [
        ("10.0.0.1", mapping(80), "curl http://10.0.0.1/"),
        ("10.0.0.1", mapping(554), "ffplay rtsp://10.0.0.1"),
        ("10.0.0.1", mapping(1883), "mosquitto_sub -h 10.0.0.1 -p 1883 -t '#' -C 1"),
        ("10.0.0.1", mapping(5432), "psql -h 10.0.0.1 -U USER"),
        ("10.0.0.1", mapping(9999), "nc -vz 10.0.0.1 9999"),
        ("10.0.0.1", mapping(9999, "UDP"), "nc -vzu 10.0.0.1 9999"),
        ("10.0.0.1; rm -rf /", mapping(9999), ""),
    ],
)
def test_there_is_a_command_to_try_an_app_with(address: str, port: PortMapping, command: str) -> None:
    assert try_it(address, port, open_link(address, port, None)) == command


def test_ports_are_known_from_create_options() -> None:
    options = {
        "ExposedPorts": {"80/tcp": {}, "x": {}, "99999/tcp": {}},
        "HostConfig": {"PortBindings": {"53/udp": [{}]}},
    }
    assert known_ports({"settings": {"createOptions": json.dumps(options)}}) == ("53/udp", "80/tcp")
    assert known_ports({"settings": {"createOptions": "{broken"}}) == ()


def test_the_highest_priority_wins_and_a_hand_edit_over_it_will_not_last() -> None:
    twin = Twin(
        "d",
        MODULE_ID,
        "E",
        desired={"schemaVersion": "1.0", "exposures": {"web": {"ports": [1]}, "own": {"ports": [2]}}},
        desired_metadata={"exposures": {"web": {"$lastUpdated": "2026-11-25T00:00:00Z", "$lastUpdatedVersion": 4}}},
    )

    def layer(name: str, priority: int, ports: list[int]) -> Deployment:
        content = {MODULE_ID: {"properties.desired.exposures.web": {"ports": ports}}}
        return Deployment(name, {"modulesContent": content}, "*", priority)

    state = DeviceState("d", Twin("d", None, "E"), {MODULE_ID: twin})
    keys = {key.path: key for key in owned_keys(state, twin, [layer("low", 1, [1]), layer("high", 9, [3])])}
    assert (keys["exposures.web"].owner, keys["exposures.web"].losers) == ("high", ("low",))
    assert keys["exposures.web"].overwritten
    assert keys["exposures.web"].version == 4
    assert (keys["exposures.own"].owner, keys["exposures.own"].overwritten) == ("", False)


def test_small_words() -> None:
    assert [ago(at, 1000.0) for at in (0, 999, 900, 1.0)] == ["never", "1 s ago", "1 min ago", "16 min ago"]
    assert text_of({"a": [1, True], "b": None}) == "a: 1, yes, b: "
    assert Hosts(frozenset({"127.0.0.1", "::1"})).knows("[::1]:8480")
