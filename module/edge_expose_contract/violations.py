"""One broken rule in a document: where, which rule, what is wrong, what to try."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """`path` is dotted, with `[n]` for list places, and empty for the document itself."""

    path: str
    rule: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.message}" + (f" ({self.hint})" if self.hint else "")

    def under(self, prefix: str) -> Violation:
        """The same violation, seen from a document that holds this one at `prefix`."""
        if not self.path:
            path = prefix
        elif self.path.startswith("["):
            path = prefix + self.path
        else:
            path = f"{prefix}.{self.path}"
        return Violation(path, self.rule, self.message, self.hint)


class RuleError(ValueError):
    """Raised by the parsers of this package; `rule` is a stable CamelCase id, `hint` says what to try."""

    def __init__(self, rule: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.hint = hint

    def as_pydantic(self) -> PydanticCustomError:
        # pydantic formats the template with {}: the text goes in as a value so that braces in user input stay text.
        return PydanticCustomError(self.rule, "{text}", {"text": self.message, "hint": self.hint})


def dotted(location: Iterable[str | int]) -> str:
    """('exposures', 'web', 'ports', 0) -> 'exposures.web.ports[0]'."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return escaped(text)


_PLAIN_RULES: Mapping[str, tuple[str, str]] = {
    "extra_forbidden": ("UnknownField", "this field is not known here"),
    "missing": ("MissingField", "this field is required"),
}

# What pydantic tells in words of Python, by the kinds of its errors.
_A_MAPPING = "this should be a mapping of names to values"
_PLAIN_TYPES: Mapping[str, str] = {
    "model_type": _A_MAPPING,
    "model_attributes_type": _A_MAPPING,
    "dict_type": _A_MAPPING,
    "list_type": "this should be a list",
    "string_type": "this should be a text",
    "int_type": "this should be a whole number",
    "bool_type": "this should be true or false",
}

# How pydantic calls the parts of `str | int | float | bool`.
_SCALARS = frozenset({"str", "int", "float", "bool"})


def from_pydantic(error: ValidationError, prefix: str = "") -> list[Violation]:
    """All violations of a failed model, in document order, each with its own rule id."""
    found: list[Violation] = []
    scalars: set[tuple[str | int, ...]] = set()
    for item in error.errors(include_url=False):
        kind = item["type"]
        if item["loc"][-1:] and item["loc"][-1] in _SCALARS:
            # A place that takes several kinds of value has an error for each of them; one is enough.
            if item["loc"][:-1] not in scalars:
                scalars.add(item["loc"][:-1])
                where = dotted(_location(item["loc"][:-1]))
                plain = Violation(where, "InvalidValue", "this should be a text, a number, or true or false")
                found.append(plain.under(prefix) if prefix else plain)
            continue
        context: Mapping[str, Any] = item.get("ctx") or {}
        hint = str(context.get("hint", ""))
        if kind in _PLAIN_RULES:
            rule, message = _PLAIN_RULES[kind]
        elif kind[:1].isupper():
            rule, message = kind, item["msg"]
        else:
            plainly = _PLAIN_TYPES.get(kind, item["msg"])
            rule, message = "InvalidValue", f"{plainly} (got {shown(item.get('input'))})"
        violation = Violation(dotted(_location(item["loc"])), rule, message, hint)
        found.append(violation.under(prefix) if prefix else violation)
    return found


def unknown_locations(error: ValidationError) -> list[tuple[str | int, ...]]:
    """Where the fields stand that the model does not know."""
    return [_location(item["loc"]) for item in error.errors(include_url=False) if item["type"] == "extra_forbidden"]


def _location(parts: tuple[str | int, ...]) -> tuple[str | int, ...]:
    # The tags of a union start with # and follow a place in a list (models.py): ours, not the user's, and left out.
    return tuple(part for before, part in zip((None, *parts), parts, strict=False) if not _is_tag(before, part))


def _is_tag(before: str | int | None, part: str | int) -> bool:
    return isinstance(before, int) and isinstance(part, str) and part.startswith("#")


def escaped(text: str) -> str:
    """The text with each lone surrogate as `\\udXXX`: JSON can say such a text, UTF-8 cannot."""
    return text.encode("utf-8", "backslashreplace").decode()


def shown(value: object, limit: int = 80) -> str:
    """A value as it may stand in a message: short, on one line, never a whole document."""
    try:
        text = repr(value) if not isinstance(value, str) else f'"{value}"'
    except RecursionError:
        text = "a value that nests too deeply"
    text = escaped(text).replace("\n", "\\n")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def joined(violations: Sequence[Violation], limit: int = 500) -> str:
    """Several violations in one line of at most `limit` characters, for `lastDesiredStatus.description`."""
    text = "; ".join(str(violation) for violation in violations)
    return text if len(text) <= limit else text[: limit - 1] + "…"
