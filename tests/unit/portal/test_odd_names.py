"""Keys that somebody typed into the twin by hand and that are no names: seen, explained and removed all the same."""

from __future__ import annotations

import html
import re

import pytest

from edge_expose_cloud.portal.pages.templates import exposure_path
from edge_expose_contract.identity import MODULE_ID
from support.cloud import READY

ODD = ["a/b?c%20", "<b>x</b>", "", "..", "a/fragment", 'q"&#', "name with blanks", "$x", "é", "UPPER"]


@pytest.mark.parametrize("declared", [{"module": "web", "ports": [80]}, "nonsense"])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_key_is_linked_explained_asked_and_removed(world, ada, name, declared) -> None:
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {name: declared, "also odd!": declared}}, "*")
    blocked = {name: {"state": "Blocked", "reason": "InvalidExposure", "message": "no name"}}
    world.hub.report("d1", MODULE_ID, {**READY, "exposures": {**READY["exposures"], **blocked}})
    page = ada.get("/devices/d1").text
    link = f'href="{html.escape(exposure_path("d1", name))}"'
    assert link in page
    shown = ada.get(exposure_path("d1", name))
    assert shown.status_code == 200
    assert "Why it is Blocked" in shown.text
    assert "<b>x</b>" not in shown.text
    assert "Disable" not in shown.text, "nothing that is no name can be declared again"
    for part in ("fragment", "checks"):
        path = exposure_path("d1", name, part)
        assert html.escape(path) in shown.text
        assert ada.get(path).status_code == 200
    form = re.search(r'name="kind" value="remove"><input type="hidden" name="name" value="([^"]*)"', shown.text)
    assert form
    assert html.unescape(form[1]) == name
    ada.apply(ada.change("/devices/d1/plan", kind="remove", name=name))
    assert name not in world.desired()["exposures"]
    assert "web-out" in world.desired()["exposures"]


def test_a_name_keeps_its_own_address() -> None:
    assert exposure_path("d1", "web-out") == "/devices/d1/exposures/web-out"
    assert exposure_path("d1", "web-out", "edit") == "/devices/d1/exposures/web-out/edit"
