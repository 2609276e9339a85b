"""Ports of one shared address change hands without anybody losing the address on the way."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_module.desired.rails.model import Guards
from support.bench import Bench
from support.histories import History
from support.shared_address import HELD, group, one, published, world
from support.watched_cluster import Watched


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"a": [80], "b": [81]}, {"a": [81], "b": [82]}, id="the-first-takes"),
        pytest.param({"a": [81], "b": [80]}, {"a": [82], "b": [81]}, id="the-second-takes"),
        pytest.param({"a": [80], "b": [81]}, {"a": [81], "b": [80]}, id="exchange"),
        pytest.param({"a": [80, 90], "b": [81]}, {"a": [81, 90], "b": [80]}, id="exchange-of-some"),
        pytest.param({"a": [80], "b": [81], "c": [82]}, {"a": [81], "b": [82], "c": [80]}, id="ring"),
        pytest.param({"a": [80], "b": [81], "c": [82]}, {"a": [81], "b": [82], "c": [83]}, id="chain"),
        pytest.param(
            {"a": [80], "b": [81], "c": [82], "d": [83]}, {"a": [81], "b": [80], "c": [83], "d": [82]}, id="two-rings"
        ),
        pytest.param(
            {"a": [80], "b": [81], "c": [82]}, {"a": [81], "b": [80], "c": [65535]}, id="who-wants-the-spare-port"
        ),
    ],
)
def test_ports_change_hands(before: dict[str, list[int]], after: dict[str, list[int]]) -> None:
    found = world(**before)
    found.desire(group(**after))
    found.run(4)
    assert published(found, *after) == list(after.values())
    assert found.cluster.lost == []
    assert {found.state(name) for name in after} == {("Ready", HELD, None)}


def test_the_port_of_one_that_leaves_is_taken_once_it_has_left() -> None:
    found = world(a=[80], b=[81])
    found.desire({**group(a=[81]), "b": {**group(b=[80])["b"], "address": "10.0.0.15", "share": "other"}})
    found.run(6)
    assert found.cluster.lost == []
    assert [found.cluster.address_of(name) for name in ("a", "b")] == [HELD, "10.0.0.15"]
    assert published(found, "a", "b") == [[81], [80]]


def test_one_that_may_not_give_is_waited_for_and_nothing_is_lost() -> None:
    found = world(a=[80], b=[81])
    found.cluster.refuse("webhook-denied-silently", verb="patch", only="b", webhook="w")
    found.desire(group(a=[81], b=[82]))
    found.run(6)
    assert published(found, "a", "b") == [[80], [81]]
    assert found.cluster.lost == []
    assert found.state("a") == ("Pending", HELD, "PortTaken")
    message = found.exposure("a")["message"]
    assert message == (
        f"port 81/tcp on shared address {HELD} is held by Service edge1/b; it is taken over once that one gives it up"
    )
    found.cluster.allow()
    found.run(3)
    assert published(found, "a", "b") == [[81], [82]]
    assert found.state("a") == ("Ready", HELD, None)


def test_a_restart_in_the_middle_of_an_exchange_ends_it() -> None:
    found = world(a=[80], b=[81])
    found.desire(group(a=[81], b=[80]))
    found.run(1)
    assert published(found, "a", "b") == [[65535], [81]]
    (entry,) = found.cluster.services[("edge1", "a")]["spec"]["ports"]
    assert entry["targetPort"] == "edge-no-port", "no pod answers on it"
    found.restart()
    found.run(4)
    assert published(found, "a", "b") == [[81], [80]]
    assert found.cluster.lost == []


def test_what_is_published_meanwhile_is_inside_the_guard_rails() -> None:
    found = world(Guards(ports=((80, 83),)), a=[80], b=[81], c=[82])
    found.desire(group(a=[81], b=[80], c=[82]))
    found.run(1)
    assert published(found, "a") == [[83]]
    found.run(4)
    found.desire(group(a=[80], b=[81], c=[83]))
    found.run(4)
    assert published(found, "a", "b", "c") == [[80], [81], [83]]
    assert found.cluster.lost == []


def test_an_exchange_of_which_the_cluster_refuses_one_half_is_not_begun() -> None:
    found = world(a=[80], b=[81])
    found.cluster.refuse("webhook-denied-silently", verb="patch", only="b", webhook="w")
    found.desire(group(a=[81], b=[80]))
    found.run(12)
    assert published(found, "a", "b") == [[80], [81]], "both serve as before"
    assert [found.state(name) for name in "ab"] == [("Blocked", HELD, "PolicyDenied")] * 2
    found.cluster.allow()
    found.run(4)
    assert published(found, "a", "b") == [[81], [80]]
    assert found.cluster.lost == []


def test_who_gives_first_publishes_nothing_new_to_clients_of_before() -> None:
    found = world(a=[80], b=[81])
    found.desire({"a": one(81, 22, allowFrom=["10.9.0.0/16"]), "b": one(80)})
    for _ in range(5):
        found.run(1)
        spec = found.cluster.services[("edge1", "a")]["spec"]
        assert published(found, "a") != [[22, 81]] or spec["loadBalancerSourceRanges"] == ["10.9.0.0/16"]
    assert published(found, "a", "b") == [[22, 81], [80]]
    assert found.cluster.lost == []


@pytest.mark.parametrize(
    ("before", "after", "c"),
    [
        pytest.param({"a": [80], "b": [81]}, {"a": [81, 90], "b": [80]}, 91, id="who-gives-first"),
        pytest.param({"a": [80], "b": [81]}, {"a": [81], "b": [80, 90]}, 91, id="the-other-one"),
        pytest.param(
            {"a": [80], "b": [81], "d": [82, 83]}, {"a": [81], "b": [80, 82], "d": [81, 83, 90]}, 91, id="two-rings"
        ),
    ],
)
def test_nobody_gives_first_who_would_wait_for_another_one_then(
    before: dict[str, list[int]], after: dict[str, list[int]], c: int
) -> None:
    found = world(**before, c=[90])
    found.cluster.refuse("webhook-denied-silently", verb="patch", only="c", webhook="w")
    found.desire(group(**after, c=[c]))
    found.run(6)
    assert published(found, *before) == list(before.values()), "all serve as before"
    found.cluster.allow()
    for _ in range(6):
        found.run(1)
        found.later(seconds=5)
    assert found.cluster.lost == []


def test_who_waits_is_held_to_its_last_good_form_and_no_longer() -> None:
    found = world(a=[80], b=[81])
    found.cluster.refuse("webhook-denied-silently", verb="patch", only="b", webhook="w")
    found.desire({"a": one(81, allowFrom=["10.9.0.0/16"]), "b": one(82)})
    found.run()
    spec = found.cluster.services[("edge1", "a")]["spec"]
    spec["selector"] = {"app": "other"}
    spec["ports"] = [{**spec["ports"][0], "targetPort": 6666}, {"port": 22, "protocol": "TCP", "name": "ssh"}]
    found.run()
    spec = found.cluster.services[("edge1", "a")]["spec"]
    assert spec["selector"] == {"app": "ws"}
    assert [(port["port"], port["targetPort"]) for port in spec["ports"]] == [(80, 80)]
    found.restart()
    found.run()
    assert published(found, "a") == [[80]]
    found.cluster.allow()
    found.run()
    spec = found.cluster.services[("edge1", "a")]["spec"]
    assert ([port["port"] for port in spec["ports"]], spec["loadBalancerSourceRanges"]) == ([81], ["10.9.0.0/16"])


def test_who_lost_its_address_by_hand_gets_it_back_whatever_is_refused_to_another_one() -> None:
    found = world(a=[80], b=[81])
    found.cluster.refuse("webhook-denied-silently", verb="patch", only="b", webhook="w")
    found.desire(group(a=[80], b=[82]))
    found.run()
    found.cluster.services[("edge1", "a")]["metadata"]["annotations"]["metallb.io/allow-shared-ip"] = "other"
    found.cluster.settle()
    assert found.cluster.address_of("a") is None
    for _ in range(8):
        found.run(1)
        found.later(seconds=5)
    assert found.state("a") == ("Ready", HELD, None)


def test_who_comes_for_a_port_that_is_not_given_up_is_told_so() -> None:
    """Whatever else is refused in the same pass."""
    found = world(a=[80], b=[81])
    found.cluster.refuse("webhook-denied-silently", verb="patch", only="b", webhook="w")
    found.desire(group(a=[80], b=[82], c=[81]))
    found.run()
    assert [found.state(name)[::2] for name in "bc"] == [("Blocked", "PolicyDenied"), ("Blocked", "PortTaken")]
    found.cluster.allow()
    for _ in range(4):
        found.run(1)
        found.later(seconds=5)
    assert found.state("c") == ("Ready", HELD, None)


def test_endpoints_wait_with_the_service_whose_ports_they_name() -> None:
    found = world(b=[81])
    outside = {"selector": None, "endpoints": ["192.168.7.7"]}
    found.desire({"a": one(80, **outside), "b": one(81)})
    found.run()
    found.cluster.refuse("webhook-denied-silently", verb="patch", only="b", webhook="w")
    found.desire({"a": one(81, **outside), "b": one(82)})

    def names() -> tuple[list[str], list[str]]:
        (slice_,) = (body for (_, _, name), body in found.cluster.companions.items() if name.startswith("a"))
        service = found.cluster.services[("edge1", "a")]
        return [port["name"] for port in service["spec"]["ports"]], [port["name"] for port in slice_["ports"]]

    found.run()
    assert names() == (["tcp-80"], ["tcp-80"])
    found.cluster.allow()
    found.run()
    assert names() == (["tcp-81"], ["tcp-81"])


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("tcp", ["53/tcp", 80], ids=str)
@pytest.mark.parametrize("finalizer", [True, False], ids=["finalizer", "refused"])
def test_a_pair_takes_the_udp_port_once_its_udp_service_is_gone(tcp: object, alone: bool, finalizer: bool) -> None:
    """It cannot be deleted, or is not gone yet: both would publish the port at one address."""
    found = Bench(Watched())
    found.cluster.add_pod("w", {"app": "ws"})
    more = {"share": None} if alone else {}
    others = {} if alone else group(b=[90])
    found.desire({"a": one(tcp, "53/udp", **more), **others})
    found.run(4)
    assert found.state("a") == ("Ready", HELD, None)
    if finalizer:
        found.cluster.add_finalizer("a-udp", "example.org/cleanup")
    else:
        found.cluster.refuse("webhook-denied-silently", verb="delete", only="a-udp", webhook="w")
    found.desire({"a": one("53/udp", **more), **others})
    found.run(4)
    assert found.state("a")[:2] == (("Pending" if finalizer else "Blocked"), HELD)
    assert ("edge1", "a-udp") in found.cluster.services
    found.cluster.release("a-udp") if finalizer else found.cluster.allow()
    found.run(4)
    assert found.cluster.lost == []
    assert found.state("a") == ("Ready", HELD, None)
    (port,) = found.cluster.services[("edge1", "a")]["spec"]["ports"]
    assert (port["protocol"], port["port"]) == ("UDP", 53)
    assert ("edge1", "a-udp") not in found.cluster.services


def settle(found: Bench, **wanted: str) -> None:
    for _ in range(8):
        found.run(1)
        found.later(seconds=5)
    assert found.cluster.lost == []
    assert {name: found.state(name) for name in wanted} == {n: ("Ready", at, None) for n, at in wanted.items()}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            {"a": ["83/tcp", "83/udp"], "b": ["80/tcp", "82/tcp", "80/udp"]},
            {"a": ["80/tcp", "80/udp"], "b": ["82/tcp", "83/tcp"]},
            id="of-one",
        ),
        pytest.param(
            {"a": ["80/tcp", "83/udp"], "b": ["82/tcp", "80/udp", "81/udp"]},
            {"a": ["80/udp"], "b": ["83/udp"], "c": ["80/tcp"]},
            id="of-both",
        ),
    ],
)
def test_an_exchange_takes_ports_of_services_that_go(before: dict[str, list[str]], after: dict[str, list[str]]) -> None:
    found = Bench(Watched())
    found.cluster.add_pod("w", {"app": "ws"})
    found.desire({name: one(*ports) for name, ports in before.items()})
    found.run(4)
    found.desire({name: one(*ports) for name, ports in after.items()})
    settle(found, **dict.fromkeys(after, HELD))


ELSEWHERE = "10.0.0.15"


def alone(*ports: object) -> dict[str, Any]:
    return one(*ports, share=None, address=ELSEWHERE)


def with_one_that_joined() -> Bench:
    """`c` came to the address of `a` and `b`, and the module was started again on a disk that knows nothing of it."""
    found = world(a=[80], b=[81])
    found.desire({**group(a=[80], b=[81]), "c": alone(82)})
    found.run()
    assert found.state("c") == ("Ready", ELSEWHERE, None)
    found.store.full = True
    found.desire(group(a=[80], b=[81], c=[82]))
    found.run(2)
    assert found.cluster.address_of("c") == HELD
    found.restart()
    found.store.full = False
    return found


def test_who_just_joined_exchanges_ports_under_the_key_that_it_joined() -> None:
    found = with_one_that_joined()
    found.desire(group(a=[80], b=[82], c=[81]))
    settle(found, b=HELD, c=HELD)


def test_who_just_joined_and_goes_back_has_the_key_until_it_is_gone() -> None:
    found = with_one_that_joined()
    found.desire({**group(a=[80], b=[81]), "c": alone(80)})
    settle(found, b=HELD, c=ELSEWHERE)


def test_who_was_not_removed_after_all_has_the_key_until_it_is_gone() -> None:
    """Nothing is remembered of an exposure that the document left out."""
    found = world(a=[80], b=[81])
    found.cluster.unanswered = {"b"}
    found.desire(group(a=[80]))
    found.run(1)
    found.cluster.unanswered = set()
    found.desire({**group(a=[80]), "b": alone(83)})
    settle(found, a=HELD, b=ELSEWHERE)


def test_a_pair_that_was_not_removed_and_may_not_join_keeps_its_key() -> None:
    """All that is remembered of it is a move that could not begin."""
    found = world(b=[81])
    found.desire({**group(b=[81]), "c": alone("82/tcp", "82/udp")})
    found.run()
    assert found.state("c") == ("Ready", ELSEWHERE, None)
    found.cluster.unanswered = {"c", "c-udp", "c-claim"}
    found.desire(group(b=[81]))
    found.run(1)
    found.desire(group(b=[81], c=["83/tcp", "83/udp"]))
    found.run(1)
    found.cluster.unanswered = set()
    found.desire(group(b=[81, 83], c=["81/tcp", "83/udp"]))
    found.run(1)
    assert found.cluster.lost == []
    assert found.state("c") == ("Blocked", ELSEWHERE, "PortTaken")
    found.desire(group(b=[81, 83], c=["84/tcp", "84/udp"]))
    settle(found, b=HELD, c=HELD)


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "no answer"])
def test_the_second_service_of_a_pair_takes_a_port_once_the_first_one_has_given_it(refused: bool) -> None:
    """A half-made pair: the second Service is there, and the first one still has the UDP ports."""
    found = world(a=["80/udp"], b=[90])
    found.cluster.unanswered = {"a"}
    found.desire(group(a=["80/tcp", "81/udp"], b=[90]))
    found.run(1)
    assert published(found, "a", "a-udp") == [[80], [81]]
    found.cluster.unanswered = set() if refused else {"a"}
    if refused:
        found.cluster.refuse("webhook-denied-silently", verb="patch", only="a", webhook="w")
    found.desire(group(a=["82/tcp", "80/udp"], b=[90]))
    found.run(2)
    assert found.cluster.lost == []
    assert found.state("a") == (
        ("Blocked", HELD, "PolicyDenied") if refused else ("Pending", HELD, "ClusterUnavailable")
    )
    found.cluster.unanswered = set()
    found.cluster.allow()
    settle(found, a=HELD, b=HELD)
    assert published(found, "a", "a-udp") == [[82], [80]]


def test_who_leaves_takes_no_port_back_that_it_gave() -> None:
    """A change of a pair that was made of one Service only is no good form yet."""
    found = world(a=["80/tcp", "90/tcp", "70/udp"], b=[81])
    found.cluster.unanswered = {"a-udp"}
    found.desire(group(a=["80/tcp", "71/udp"], b=[81]))
    found.run(1)
    assert published(found, "a", "a-udp") == [[80], [70]]
    found.cluster.unanswered = set()
    found.desire({"a": alone("80/tcp", "71/udp"), **group(b=[90])})
    settle(found, a=ELSEWHERE, b=HELD)


def test_an_exchange_that_takes_several_passes_is_no_quarrel_with_another_writer() -> None:
    found = world(a=[80], b=[81])
    for number in range(30):
        found.desire(group(a=[80 + number % 2], b=[81 - number % 2]))
        found.run(4)
    assert published(found, "a", "b") == [[81], [80]]
    assert not found.twin.reported.get("warnings")


def test_who_gets_the_address_as_soon_as_another_one_makes_room_has_its_ports_then() -> None:
    found = world(b=[81], d=[84])
    found.cluster.refuse("webhook-denied-silently", verb="patch", only="b", webhook="w")
    found.desire(group(b=[90], c=[81, 82], d=[84]))
    found.run()
    assert found.cluster.address_of("c") is None
    found.cluster.allow()
    found.desire(group(b=[90], c=[83], d=[82]))
    settle(found, b=HELD, c=HELD, d=HELD)


@pytest.mark.parametrize("seed", [1, 8, 30, 42, 63, 94, 122, 152, 186, 194, 5118, 20086])
def test_histories_that_cost_an_address_once_cost_none(seed: int) -> None:
    """More of them: `make histories`."""
    history = History(seed)
    history.live()
    assert history.problems == []
