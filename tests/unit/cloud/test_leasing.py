"""Set modules under a lease: a run that is held up overwrites nobody and takes nobody's lease away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.hub.api import HubError, HubProblem
from edge_expose_cloud.plan.model import LEASE_TAG
from edge_expose_cloud.usecases.apply import apply_plan
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.plan import make_plan
from support.cloud import NOW, SPEC, applied_hub, spec_of_text
from support.fake_hub import FakeHub


class World:
    """A hub, a clock, and two operators; `when_sending` happens once, while the first waits for the hub."""

    def __init__(self) -> None:
        self.now = NOW
        self.hub = applied_hub()
        self.mine = Operator("a@x", lambda: self.now)
        self.other = Operator("b@y", lambda: self.now)

    def when_sending(self, what: Callable[[], None]) -> None:
        def before(call: str) -> None:
            if call == "apply_content":
                self.hub.before = None
                what()

        self.hub.before = before

    def apply(self, tag: int, who: Operator) -> str:
        made = make_plan(self.hub, spec_of_text(SPEC.replace("a/web:1", f"a/web:{tag}")), {})
        return apply_plan(self.hub, made, who)

    @property
    def image(self) -> str:
        return str(self.hub.twins["d1", "$edgeAgent"].desired["modules"]["web"]["settings"]["image"])

    @property
    def lease(self) -> dict[str, object] | None:
        found = self.hub.twins["d1", None].tags.get(LEASE_TAG)
        return found if isinstance(found, dict) else None


@pytest.fixture
def world() -> World:
    return World()


def test_a_run_that_waited_for_longer_than_its_lease_does_not_overwrite_the_next(world: World) -> None:
    def meanwhile() -> None:
        world.now += dt.timedelta(seconds=70)
        world.apply(3, world.other)

    world.when_sending(meanwhile)
    with pytest.raises(Refused, match="ran out"):
        world.apply(2, world.mine)
    assert world.image == "a/web:3"


def test_a_lease_of_somebody_else_is_named_and_stays(world: World) -> None:
    lease = {"by": "b@y", "until": (NOW + dt.timedelta(seconds=130)).isoformat(), "pid": 1}

    def meanwhile() -> None:
        world.now += dt.timedelta(seconds=70)
        world.hub.patch_device_tags("d1", {LEASE_TAG: {**lease, "token": "theirs"}}, "*")

    world.when_sending(meanwhile)
    with pytest.raises(Refused, match="b@y has it now"):
        world.apply(2, world.mine)
    assert world.lease == {**lease, "token": "theirs"}
    assert world.image == "a/web:1"


def test_two_runs_of_one_operator_have_two_leases(world: World) -> None:
    def meanwhile() -> None:
        world.now += dt.timedelta(seconds=70)
        world.apply(3, world.mine)

    world.when_sending(meanwhile)
    with pytest.raises(Refused, match="ran out"):
        world.apply(2, world.mine)
    assert world.image == "a/web:3"


@pytest.mark.parametrize("seconds", [40, 70, 600])
def test_a_run_that_waited_and_that_nobody_overtook_renews_its_lease_and_goes_on(world: World, seconds: int) -> None:
    renewed: list[object] = []

    def meanwhile() -> None:
        world.now += dt.timedelta(seconds=seconds)
        world.hub.before = lambda call: renewed.append(call) if call == "patch_device_tags" else None

    world.when_sending(meanwhile)
    assert "set" in world.apply(2, world.mine)
    assert world.image == "a/web:2"
    assert world.lease is None
    assert len(renewed) == 2, "renewed before sending, given back after it"


def test_a_twin_that_moved_while_the_run_waited_is_not_overwritten(world: World) -> None:
    world.when_sending(lambda: world.hub.touch("d1", "$edgeAgent"))
    with pytest.raises(Refused, match="changed since the plan"):
        world.apply(2, world.mine)
    assert world.image == "a/web:1"
    assert world.lease is None


class AnswersLate(FakeHub):
    """Does what it is asked, answers with a server error, and is asked again, as the adapter does."""

    def apply_content(self, device_id, modules_content, ready=lambda: None):  # type: ignore[no-untyped-def]
        super().apply_content(device_id, modules_content, ready)
        super().apply_content(device_id, modules_content, ready)


def test_a_request_that_was_done_and_not_answered_may_be_repeated(world: World) -> None:
    world.hub = AnswersLate(twins=world.hub.twins)
    assert "set" in world.apply(2, world.mine)
    assert world.image == "a/web:2"


def test_a_lease_that_cannot_be_given_back_under_its_etag_ends_by_itself(world: World) -> None:
    made = make_plan(world.hub, spec_of_text(SPEC.replace("a/web:1", "a/web:2")), {})

    def meddle(call: str) -> None:
        if call == "patch_device_tags" and world.image == "a/web:2":
            world.hub.before = None
            raise HubError(HubProblem.PRECONDITION, "the etag is stale")

    world.hub.before = meddle
    assert "set" in apply_plan(world.hub, made, world.mine)
    assert world.lease is not None
    with pytest.raises(Refused, match="a@x is applying") as refused:
        world.apply(3, world.other)
    assert refused.value.hint == "wait 60 seconds and plan again"
