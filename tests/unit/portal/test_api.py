"""The JSON API: what is applied is what was shown, and every refusal has the right status and says what."""

from __future__ import annotations

from typing import Any

import pytest

WANTED: dict[str, Any] = {"exposure": {"module": "web", "ports": ["9000:80"]}}
PATH = "/api/devices/d1/exposures/api-made"


@pytest.fixture
def api(ada):
    ada.client.headers.update({"Origin": "http://127.0.0.1:8480", "X-CSRF-Token": ada.csrf})
    return ada.client


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        pytest.param("?digest=abc", None, 409, id="a digest of the query that is not the plan's"),
        pytest.param("", "abc", 409, id="a digest of the body that is not the plan's"),
        pytest.param("?digest=", None, 409, id="an empty digest of the query"),
        pytest.param("?digest={good}", "abc", 409, id="a right one and a wrong one"),
        pytest.param("?digest={good}", None, 200, id="the plan's digest in the query"),
        pytest.param("?digest={good}", "{good}", 200, id="the plan's digest in both"),
    ],
)
def test_a_digest_counts_wherever_it_stands(world, api, query, body, status) -> None:
    good = api.put(f"{PATH}?dryRun=true", json=WANTED).json()["digest"]
    wanted = WANTED if body is None else {**WANTED, "digest": body.format(good=good)}
    assert api.put(PATH + query.format(good=good), json=wanted).status_code == status
    assert ("api-made" in world.desired()["exposures"]) is (status == 200)


@pytest.mark.parametrize("query", ["", "?dryRun=true"])
def test_what_is_not_there_is_404(api, query) -> None:
    for path in (PATH, "/api/devices/nobody/exposures/x"):
        assert api.delete(path + query).status_code == 404
    assert api.get(PATH).status_code == 404


def test_a_body_that_cannot_be_read_is_answered_with_the_names_of_its_fields(api) -> None:
    answer = api.put(PATH, json={"exposures": {}, "digst": "x"})
    assert answer.status_code == 422
    hint = answer.json()["hint"]
    assert "body.exposure: Field required" in hint
    assert "body.digst: Extra inputs are not permitted" in hint
    assert "query.page" in api.get("/api/devices?page=0").json()["hint"]
