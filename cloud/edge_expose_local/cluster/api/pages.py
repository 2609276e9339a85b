"""Which state a list shows, and which part of it: resourceVersion, its match, limit and continue.

All pages of one list show one state, whose resourceVersion each of them carries: a watch from there misses nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from ...http.messages import Request
from ..kinds.errors import ApiError, Cause, Document, bad_request, invalid, quote
from ..kinds.field_errors import forbidden
from ..store.store import Store

Key = tuple[str, str]
"""Namespace and name."""
_MATCH = "resourceVersionMatch"


@dataclass(frozen=True, slots=True)
class Page:
    """One page: the state at `version` (None: the current one), after `after`, at most `limit` objects (0: all)."""

    version: int | None
    limit: int
    after: Key | None
    token: str


def page_of(request: Request, store: Store) -> Page:
    """What a list request asks for; raises 400, 422 and 504 as the API server does."""
    version, match = request.arg("resourceVersion"), request.arg(_MATCH)
    if match and not version:
        raise _refused(forbidden(_MATCH, f"{_MATCH} is forbidden unless resourceVersion is provided"))
    if match not in ("", "Exact", "NotOlderThan"):
        why = f'Unsupported value: {quote(match)}: supported values: "Exact", "NotOlderThan", ""'
        raise _refused(Cause("FieldValueNotSupported", why, _MATCH))
    if match == "Exact" and version == "0":
        raise _refused(forbidden(_MATCH, f'{_MATCH} "exact" is forbidden for resourceVersion "0"'))
    if version and not version.isdigit():
        raise bad_request(f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax')
    if version and int(version) > store.version:
        message = f"Too large resource version: {version}, current: {store.version}"
        raise ApiError(504, "Timeout", message, {"retryAfterSeconds": 1})
    limit, token = _limit(request.arg("limit")), request.arg("continue")
    if token:
        if version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        at, after = _read(token)
        return Page(at if at > 0 else None, limit, after, token)
    if version == "0":
        return Page(None, 0, None, "")  # answered from the watch cache, which knows no pages
    exact = match == "Exact" or (version and limit and not match)
    return Page(int(version) if exact else None, limit, None, "")


def _refused(cause: Cause) -> ApiError:
    error = invalid("meta.k8s.io", "ListOptions", "", [cause])
    error.details = {"group": "meta.k8s.io", "kind": "ListOptions", "causes": (error.details or {})["causes"]}
    return error


def _limit(text: str) -> int:
    try:
        return max(0, int(text or 0))
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _read(token: str) -> tuple[int, Key]:
    try:
        document = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, _, name = str(document["start"]).removesuffix("\0").rpartition("/")
        return int(document["rv"]), (namespace.strip("/"), name)
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from None


def _written(version: int, last: Document) -> str:
    meta = last["metadata"]
    start = "/".join(part for part in (meta.get("namespace", ""), meta["name"]) if part) + "\0"
    token = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def state_of(page: Page, store: Store, storage: str, namespace: str | None) -> tuple[int, list[Document]]:
    """The version a page shows, and all objects of that state; raises 410 when it is not remembered any more."""
    if page.version is None:
        return store.version, store.all(storage, namespace)
    objects = store.at(storage, page.version, namespace)
    if objects is None:
        raise _expired(page, store)
    return page.version, objects


def _expired(page: Page, store: Store) -> ApiError:
    if page.after is None:
        return ApiError(410, "Expired", "The resourceVersion for the provided list is too old.")
    message = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    namespace, name = page.after
    rest = _written(-1, {"metadata": {"namespace": namespace, "name": name}})
    return ApiError(410, "Expired", message, metadata={"continue": rest})


def cut(page: Page, objects: list[Document], version: int, *, selected: bool) -> tuple[list[Document], Document]:
    """The objects of a page and the metadata of its list; `selected`: a selector left some out."""
    meta: Document = {"resourceVersion": str(version)}
    if page.after is not None:
        objects = [o for o in objects if (o["metadata"].get("namespace", ""), o["metadata"]["name"]) > page.after]
    if 0 < page.limit < len(objects):
        rest = len(objects) - page.limit
        objects = objects[: page.limit]
        meta["continue"] = _written(version, objects[-1])
        if not selected:
            meta["remainingItemCount"] = rest
    return objects, meta
