"""What a model refused is cut out of a document, and nothing beside it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.spec.pruning import refused_paths, without

MODULE = {"image": "a/b:1"}


@pytest.mark.parametrize(
    ("modules", "left"),
    [
        ({"w": {**MODULE, "env": {"BAD": [1], "GOOD": "x"}}}, {"w": {**MODULE, "env": {"GOOD": "x"}}}),
        ({"w": {"env": {"GOOD": "x"}}, "v": MODULE}, {"v": MODULE}),
        ({"w": {**MODULE, "restartPolicy": "often", "status": 3}}, {"w": MODULE}),
        ({"w": 7, "v": MODULE}, {"v": MODULE}),
    ],
)
def test_only_the_member_that_is_wrong_goes(modules: dict[str, Any], left: dict[str, Any]) -> None:
    data = {"schemaVersion": "1.0", "name": "n", "target": {"device": "d"}, "modules": modules}
    with pytest.raises(ValidationError) as caught:
        Spec.model_validate(data)
    assert without(data, refused_paths(data, caught.value)) == {**data, "modules": left}
    assert data["modules"] == modules, "the document itself is left as it is"
