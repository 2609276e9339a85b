"""Impersonation: acting as somebody else, as the headers `Impersonate-User`, `-Group`, `-Uid` and `-Extra-KEY` ask.

Each name that is asked for needs the right `impersonate` on it: on `users` or `serviceaccounts`, on `groups`, and on
`uids` and `userextras/KEY` of authentication.k8s.io.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from ..kinds.errors import ApiError, PlainError, bad_request, quote
from ..kinds.profiles import Profile
from .rbac import ANONYMOUS, Attributes, Authorizer, User, refusal, service_account_user

_AUTHENTICATION = "authentication.k8s.io"
_EXTRA = "impersonate-extra-"
_ACCOUNT = "system:serviceaccount:"
_EVERYBODY, _NOBODY = "system:authenticated", "system:unauthenticated"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who somebody wants to act as, as the headers say it."""

    name: str
    uid: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def account(self) -> tuple[str, str] | None:
        """Namespace and name, when it is a ServiceAccount."""
        parts = self.name.removeprefix(_ACCOUNT).split(":")
        return (parts[0], parts[1]) if self.name.startswith(_ACCOUNT) and len(parts) == 2 and all(parts) else None

    @property
    def plain(self) -> bool:
        """Nothing but a name is asked for."""
        return not (self.uid or self.groups or self.extra)

    def user(self) -> User:
        """The user that acts then, with the groups that everybody of the kind is in."""
        groups = self.groups
        if not groups and self.account is not None:
            groups = service_account_user(*self.account).groups
        if self.name == ANONYMOUS.name:
            groups += () if _NOBODY in groups else (_NOBODY,)
        elif _EVERYBODY not in groups and _NOBODY not in groups:
            groups += (_EVERYBODY,)
        return User(self.name, groups, self.uid, self.extra)


def asked(headers: tuple[tuple[str, str], ...], profile: Profile, path: str) -> Asked | None:
    """What the headers of a request ask for; None when they ask for nothing. Header names are in lower case."""
    headers = tuple([pair for pair in headers if pair[0].startswith("impersonate-")])
    if not headers:
        return None

    def values(name: str) -> tuple[str, ...]:
        return tuple(value for header, value in headers if header == name and value)

    extra: dict[str, tuple[str, ...]] = {}
    for header, value in headers:
        if header.startswith(_EXTRA):
            key = unquote(header.removeprefix(_EXTRA)).lower()
            extra[key] = (*extra.get(key, ()), value)
    uid = next(iter(values("impersonate-uid")), "") if profile.impersonates_uid else ""
    name = next(iter(values("impersonate-user")), "")
    found = Asked(name, uid, values("impersonate-group"), tuple(extra.items()))
    if name:
        return found
    if not found.plain:
        raise _nameless(found, profile, path)
    return None


def _nameless(wanted: Asked, profile: Profile, path: str) -> Exception:
    if profile.constrained_impersonation:
        groups = "[]string{" + ", ".join(map(quote, wanted.groups)) + "}" if wanted.groups else "[]string(nil)"
        pairs = [f"{quote(k)}:[]string{{{', '.join(map(quote, v))}}}" for k, v in sorted(wanted.extra)]
        extra = "map[string][]string{" + ", ".join(pairs) + "}" if pairs else "map[string][]string(nil)"
        shown = f'&user.DefaultInfo{{Name:"", UID:{quote(wanted.uid)}, Groups:{groups}, Extra:{extra}}}'
        return bad_request(f"requested {shown} without impersonating a user name")
    references = [f"{{Group  {group}    }}" for group in wanted.groups]
    references += [f"{{UserExtra  {v}  {_AUTHENTICATION}/v1  {k}}}" for k, vs in wanted.extra for v in vs]
    why = f"requested [{' '.join(references)}] without impersonating a user"
    return PlainError(500, f"Internal Server Error: {quote(path)}: {why}\n")


def _needed(wanted: Asked) -> Iterator[Attributes]:
    if wanted.account is not None:
        namespace, name = wanted.account
        yield Attributes("impersonate", "", "serviceaccounts", namespace, name)
    else:
        yield Attributes("impersonate", "", "users", "", wanted.name)
    for group in wanted.groups:
        yield Attributes("impersonate", "", "groups", "", group)
    for key, values in wanted.extra:
        for value in values:
            yield Attributes("impersonate", _AUTHENTICATION, f"userextras/{key}", "", value)
    if wanted.uid:
        yield Attributes("impersonate", _AUTHENTICATION, "uids", "", wanted.uid)


class Impersonation:
    """Decides who may act as whom."""

    def __init__(self, authorizer: Authorizer, profile: Profile) -> None:
        self._authorizer = authorizer
        self._profile = profile
        self._known: set[str] = set()
        """Users who acted as somebody before: their refusals name the right `impersonate`."""

    def user(self, real: User, wanted: Asked, wish: Attributes) -> User:
        """The user to go on as; raises 403 in the words of the API server. `wish` is what the request is about."""
        for needed in _needed(wanted):
            if not self._authorizer.allowed(real, needed):
                raise self._refusal(real, wanted, needed, wish)
        self._known.add(real.name)
        return wanted.user()

    def _refusal(self, real: User, wanted: Asked, needed: Attributes, wish: Attributes) -> ApiError:
        mode = self._constrained_mode(wanted)
        if not mode or real.name in self._known:
            return refusal(real, needed)
        verb = f"impersonate-on:{mode}:{wish.verb}"
        return refusal(real, Attributes(verb, wish.group, wish.resource, wish.namespace, wish.name, wish.path))

    def _constrained_mode(self, wanted: Asked) -> str:
        """The way of 1.36 that the real server tries before the right `impersonate`, and whose refusal it tells."""
        if not self._profile.constrained_impersonation:
            return ""
        if wanted.account is not None:
            return "serviceaccount" if wanted.plain else ""
        if wanted.name.startswith("system:node:"):
            return "arbitrary-node" if wanted.plain else ""
        return "user-info"
