"""What a situation is, and how that which varies from run to run is taken out of what was said."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from support.situations.bed import Bed

METALLB: Final = {"1.36": "metallb-0.16.1", "1.20": "metallb-0.10.3"}
KUBERNETES: Final = {"1.36": "kubernetes-1.36.3", "1.20": "kubernetes-1.20.15"}
BOTH: Final = ("1.36", "1.20")


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer as it came, and the values of this run in it, by the name of the placeholder that takes their place."""

    answer: Mapping[str, Any]
    values: Mapping[str, str] = field(default_factory=dict)

    def template(self) -> dict[str, Any]:
        """The answer with `{name}` for each value; a brace that was said is doubled."""
        return {key: self._of(value) for key, value in self.answer.items() if value is not None}

    def _of(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._of(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._of(inner) for inner in value]
        if not isinstance(value, str):
            return value
        text = _doubled(value)
        for name, found in sorted(self.values.items(), key=lambda item: -len(item[1])):
            whole = rf"(?<![\w.{{-]){re.escape(_doubled(found))}(?![\w}}-]|\.\d)"
            text = re.sub(whole, f"{{{name}}}", text)
        return text


def _doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


Run = Callable[[Bed], Seen]


@dataclass(frozen=True, slots=True)
class Situation:
    """`given` is one sentence. `needs` names a bed of another kind than the ordinary one."""

    id: str
    given: str
    run: Run
    component: Mapping[str, str]
    profiles: tuple[str, ...]
    needs: str
    embedded: bool
    """The embedded cluster knows this situation too."""


TABLE: Final[dict[str, Situation]] = {}


def situation(
    component: Mapping[str, str],
    given: str,
    *,
    profiles: tuple[str, ...] = BOTH,
    needs: str = "",
    embedded: bool = True,
    name: str = "",
) -> Callable[[Run], Run]:
    """Enters a function into the table under its own name, or `name`, with hyphens."""

    def enter(run: Run) -> Run:
        key = (name or run.__name__).replace("_", "-")
        assert key not in TABLE, f"two situations are called {key}"
        TABLE[key] = Situation(key, given, run, component, profiles, needs, embedded)
        return run

    return enter


def load() -> dict[str, Situation]:
    """The whole table."""
    from support.situations import (  # noqa: F401  # each of them enters its own
        kubernetes_admission,
        kubernetes_objects,
        kubernetes_ranges,
        kubernetes_rules,
        metallb_addresses,
        metallb_configurations,
        metallb_families,
        metallb_pools,
    )

    return dict(sorted(TABLE.items()))
