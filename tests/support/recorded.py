"""What the real components were seen to answer, from the files of tests/agreements/recorded.

`answers("metallb-0.16.1")["address-outside-pools"].message(address="10.0.0.9", namespace="web", name="shop")`
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "tests" / "agreements" / "recorded"
SHIPPED: Final = ROOT / "cloud" / "edge_expose_local" / "cluster" / "metallb" / "recordings"
"""Where the embedded load balancer has its copy of what MetalLB says."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One answer. `content` is as in the file, with placeholders; a value for each is given by name."""

    id: str
    content: Mapping[str, Any]

    @property
    def given(self) -> str:
        return str(self.content["given"])

    def message(self, **values: object) -> str:
        """Raises KeyError for a placeholder without a value."""
        return self.fill(self.content["message"], values)

    def text(self, key: str, **values: object) -> str:
        """Another text of the answer, such as `reason`."""
        return self.fill(self.content[key], values)

    def body(self, **values: object) -> dict[str, Any]:
        """The Status object of an API server's answer."""
        found: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        found |= {"code": self.content["status"], "reason": self.content["reason"], "message": self.message(**values)}
        if self.content.get("causes"):
            found["details"] = {"causes": self.fill_all(self.content["causes"], values)}
        return found

    def fill_all(self, value: Any, values: Mapping[str, object]) -> Any:
        """The same within lists and objects."""
        if isinstance(value, str):
            return self.fill(value, values)
        if isinstance(value, list):
            return [self.fill_all(item, values) for item in value]
        if isinstance(value, Mapping):
            return {key: self.fill_all(item, values) for key, item in value.items()}
        return value

    @staticmethod
    def fill(template: object, values: Mapping[str, object]) -> str:
        return string.Formatter().vformat(str(template), (), values)


def read(name: str) -> dict[str, Any]:
    """A whole file: component, version and answers."""
    return dict(json.loads((FOLDER / f"{name}.json").read_text()))


def write(name: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes a file so that equal answers give equal bytes."""
    component, _, version = name.rpartition("-")
    content = {"component": component, "version": version, "answers": dict(found)}
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    (FOLDER / f"{name}.json").write_text(text + "\n")
    if component == "metallb":
        (SHIPPED / f"{name}.json").write_text(text + "\n")


@cache
def answers(name: str) -> Mapping[str, Recorded]:
    """Every answer of a component, by situation."""
    return {key: Recorded(key, content) for key, content in read(name)["answers"].items()}
