"""Bodies of requests and answers: JSON, YAML and protobuf to documents, and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml

from ..kinds import go_json
from ..kinds.errors import ApiError, Document, bad_request
from ..kinds.pairs import Pairs
from .media import JSON, YAML, Media
from .protobuf import MEDIA_TYPE as PROTOBUF
from .protobuf import Codec

_SHOWN = 30
_HEAD = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
_COMPACT = json.JSONEncoder(separators=(",", ":"))


class _Loader(yaml.SafeLoader):
    """Reads YAML as Kubernetes does: times stay text, and keys that are said twice are noted."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self.doubled: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                self.doubled.append(f'line {key.start_mark.line + 1}: key "{key.value}" already set in map')
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _text(loader: _Loader, node: yaml.ScalarNode) -> Any:
    return loader.construct_scalar(node)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carried; `problems` are those of its text that a strict reader refuses."""

    document: Document
    problems: tuple[str, ...] = ()


def _yaml(data: bytes) -> tuple[Any, tuple[str, ...]]:
    loader = _Loader(data)
    try:
        document = loader.get_single_data()
        found = loader.doubled
    finally:
        loader.dispose()
    lines = "".join(f"\n  {line}" for line in found)
    return document, (f"yaml: unmarshal errors:{lines}",) if found else ()


def read(data: bytes, content_type: str, codec: Codec, wanted: str, *, optional: bool = False) -> Body:
    """Read a body of the kind that is wanted; raises 400 and 415."""
    if not data.strip():
        if optional:
            return Body({})
        raise _unrecognized(data, wanted, "json parse error: unexpected end of JSON input")
    kind = content_type.split(";")[0].strip() or JSON
    problems: tuple[str, ...] = ()
    try:
        match kind:
            case "application/json":
                document = json.loads(data, object_pairs_hook=Pairs.read)
            case "application/yaml" | "application/x-yaml":
                document, problems = _yaml(data)
            case _ if kind == PROTOBUF:
                document = codec.read(data)
            case _ if optional:
                return Body({})
            case _:
                known = f"{JSON}, {YAML}, {PROTOBUF}"
                message = f"the body of the request was in an unknown format - accepted media types include: {known}"
                raise ApiError(415, "UnsupportedMediaType", message)
    except (ValueError, yaml.YAMLError) as error:
        raise _unrecognized(data, wanted, f"json parse error: {go_json.problem(data) or error}") from None
    if not isinstance(document, dict):
        kind = go_json.kind_of(document)
        why = f"json parse error: json: cannot unmarshal {kind} into Go value of type {_HEAD}"
        raise _unrecognized(data, wanted, why)
    return Body(document, problems)


def _unrecognized(data: bytes, wanted: str, why: str) -> ApiError:
    shown = data.decode(errors="replace") if data[:1] == b"{" else data.hex()
    limit = _SHOWN if data[:1] == b"{" else 2 * _SHOWN
    summary = (shown[:limit] + (" ..." if len(shown) > limit else "")) or "<empty>"
    must = f"the object provided is unrecognized (must be of type {wanted})"
    return bad_request(f"{must}: couldn't get version/kind; {why} ({summary})")


def read_applied(data: bytes) -> Document:
    """Read what is applied, YAML or JSON; raises 400."""
    try:
        document, _ = _yaml(data)
    except yaml.YAMLError as error:
        where = error.problem_mark.line + 1 if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark else 1
        why = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error)
        raise bad_request(f"error decoding YAML: error converting YAML to JSON: yaml: line {where}: {why}") from None
    if not isinstance(document, dict):
        raise bad_request("error decoding YAML: the configuration is no object")
    return document


def write(document: Document, media: Media, codec: Codec) -> tuple[bytes, str]:
    """Write an answer; returns it and its content type."""
    if media.type == YAML:
        return yaml.safe_dump(Pairs.plain(document), sort_keys=True, allow_unicode=True).encode(), YAML
    if media.type == PROTOBUF and codec.can_write(document.get("apiVersion", ""), document.get("kind", "")):
        return codec.write(document), PROTOBUF
    if media.pretty:
        return json.dumps(document, indent=2).encode(), JSON
    return _COMPACT.encode(document).encode() + b"\n", JSON
