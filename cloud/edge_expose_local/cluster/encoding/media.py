"""Content negotiation: which form of an answer the Accept header asks for, and what is said when there is none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ..kinds.errors import ApiError
from ..kinds.profiles import Profile
from .protobuf import MEDIA_TYPE as PROTOBUF

JSON, YAML = "application/json", "application/yaml"
_ALL = (JSON, YAML, PROTOBUF)
_STREAMS = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
_META_VERSIONS = ("v1", "v1beta1")
PARTIAL, PARTIAL_LIST, TABLE = "PartialObjectMetadata", "PartialObjectMetadataList", "Table"


@dataclass(frozen=True, slots=True)
class Media:
    """How an answer is written: a media type, and the kind that objects are turned into ("" for their own)."""

    type: str = JSON
    turned: str = ""
    pretty: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What an endpoint can answer with."""

    types: tuple[str, ...] = _ALL
    turns: bool = False
    """Objects can be turned into a Table or into their metadata."""
    collection: bool = False
    watch: bool = False
    protobuf: bool = True
    """The kind has protobuf (custom resources have none)."""


@dataclass(frozen=True, slots=True)
class _Clause:
    type: str
    parameters: dict[str, str]
    weight: float


@lru_cache(256)
def _clauses(accept: str) -> tuple[_Clause, ...]:
    found: list[_Clause] = []
    for part in accept.split(","):
        kind, *rest = (piece.strip() for piece in part.split(";"))
        parameters = {name.strip().lower(): value.strip() for name, _, value in (one.partition("=") for one in rest)}
        try:
            weight = float(parameters.pop("q", "1"))
        except ValueError:
            weight = 0.0
        if kind:
            found.append(_Clause(kind, parameters, weight))
    return tuple(sorted(found, key=lambda clause: -clause.weight))


def _turned(clause: _Clause, offer: Offer) -> str | None:
    """The kind a clause wants objects turned into; None when that is not offered."""
    wanted = clause.parameters.get("as", "")
    if not wanted:
        return ""
    known = (PARTIAL, PARTIAL_LIST) if clause.type == PROTOBUF else (PARTIAL, PARTIAL_LIST, TABLE)
    meta = clause.parameters.get("g") == "meta.k8s.io" and clause.parameters.get("v") in _META_VERSIONS
    return wanted if offer.turns and meta and wanted in known else None


def negotiate(accept: str, offer: Offer, profile: Profile) -> Media:
    """Choose the form of an answer; raises 406 in the words of the API server."""
    clauses = _clauses(accept) or (_Clause("*/*", {}, 1.0),)
    if not any(clause.type in (*offer.types, "*/*") for clause in clauses):
        listed = (*offer.types, *_STREAMS) if offer.collection else offer.types
        more = f"\n\nAvailable representations: {', '.join(listed)}" if profile.names_representations else ""
        raise ApiError(406, "NotAcceptable", f"406: Not Acceptable{more}", {})
    if offer.types == (JSON,):
        return Media()
    for clause in clauses:
        if offer.watch and clause.type == YAML:
            continue
        if (
            clause.type == PROTOBUF
            and not offer.protobuf
            and clause.parameters.get("as") not in (PARTIAL, PARTIAL_LIST)
        ):
            continue
        kind = JSON if clause.type == "*/*" else clause.type
        turned = _turned(clause, offer)
        if kind in offer.types and turned is not None:
            return Media(kind, turned, clause.parameters.get("pretty") in ("1", "true"))
    listed = _STREAMS if offer.watch else _ALL
    raise ApiError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(listed)}")


def for_errors(accept: str) -> Media:
    """The form of a refusal: that of the answer, or JSON."""
    for clause in _clauses(accept):
        if clause.type in _ALL and not (clause.type == PROTOBUF and clause.parameters.get("as") == TABLE):
            return Media(clause.type)
    return Media()
