"""Who is signed in: server-side sessions, one-time links, and the limit on guessing passwords. In memory, no I/O.

A cookie holds 256 random bits and the server keeps their hash only. Signing in always makes a new session, so a cookie
planted before is worth nothing after.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from edge_expose_cloud.portal.auth.accounts import Role

IDLE_SECONDS: Final = 2 * 3600.0
LONGEST_SECONDS: Final = 12 * 3600.0
LINK_SECONDS: Final = 15 * 60.0
MOST_SESSIONS: Final = 1000
MOST_OF_USER: Final = 20
MOST_BROWSER: Final = 200
FREE_TRIES: Final = 5
FREE_TRIES_OF_A_NAME: Final = 50
FORGET_SECONDS: Final = 15 * 60.0
MOST_TRACKED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Session:
    """`csrf` stands in every form of this session; times are monotonic seconds.

    `hash` is the password's when it was signed in with one, "" for a one-time link. `id` names the session to people
    and opens nothing. `via` names the API token of a program, which has no session; it is "" for people.
    """

    user: str
    role: Role
    hash: str
    csrf: str
    started: float
    seen: float
    id: str = ""
    client: str = ""
    browser: str = ""
    via: str = ""

    @property
    def may_change(self) -> bool:
        return self.role == "operator"

    def owns(self, token: str) -> bool:
        return self.csrf != "" and hmac.compare_digest(self.csrf.encode(), token.encode())


class Sessions:
    """`now` gives monotonic seconds. Safe to use from several threads."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._sessions: dict[str, Session] = {}
        self._links: dict[str, tuple[str, Role, float]] = {}
        self._lock = threading.Lock()

    def start(
        self, user: str, role: Role, *, hash: str = "", old: str = "", client: str = "", browser: str = ""
    ) -> str:
        """Ends the session of cookie `old`, if any, and gives the cookie of a new one.

        Who has too many loses the one unused for longest; only when all have too many does somebody else's end.
        """
        cookie = secrets.token_urlsafe(32)
        now = self._now()
        made = Session(
            user, role, hash, secrets.token_urlsafe(32), now, now, secrets.token_hex(8), client, browser[:MOST_BROWSER]
        )
        with self._lock:
            self._sessions.pop(_hash(old), None)
            self._forget_ended(now)
            mine = [key for key, session in self._sessions.items() if session.user == user]
            if len(mine) >= MOST_OF_USER or len(self._sessions) >= MOST_SESSIONS:
                crowd = mine if len(mine) >= MOST_OF_USER else list(self._sessions)
                del self._sessions[min(crowd, key=lambda key: self._sessions[key].seen)]
            self._sessions[_hash(cookie)] = made
        return cookie

    def live(self) -> list[Session]:
        """All that have not ended, the last used first."""
        with self._lock:
            self._forget_ended(self._now())
            return sorted(self._sessions.values(), key=lambda session: session.seen, reverse=True)

    def end_by_id(self, id: str) -> Session | None:
        """Ends the session that people call so, and gives it; None when there is none."""
        with self._lock:
            key = next((key for key, session in self._sessions.items() if session.id == id), None)
            return self._sessions.pop(key) if key is not None else None

    def age(self, at: float) -> float:
        """Seconds since a time of a session."""
        return max(0.0, self._now() - at)

    def _forget_ended(self, now: float) -> None:
        for key, session in list(self._sessions.items()):
            if _has_ended(session, now):
                del self._sessions[key]

    def find(self, cookie: str, *, used: bool = False) -> Session | None:
        """The live session of a cookie, which being used keeps alive: what a person does, not what a page does."""
        key = _hash(cookie)
        now = self._now()
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            if _has_ended(session, now):
                del self._sessions[key]
                return None
            if used:
                self._sessions[key] = replace(session, seen=now)
            return session

    def end(self, cookie: str) -> None:
        with self._lock:
            self._sessions.pop(_hash(cookie), None)

    def make_link(self, user: str, role: Role) -> str:
        """A token that signs in once, within 15 minutes."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._links[_hash(token)] = (user, role, self._now() + LINK_SECONDS)
        return token

    def use_link(self, token: str) -> tuple[str, Role] | None:
        with self._lock:
            found = self._links.pop(_hash(token), None)
        return None if found is None or found[2] < self._now() else (found[0], found[1])


class LoginThrottle:
    """After `free` wrong tries a key waits: 5 s, then twice as long each time, at most 5 minutes.

    Keys are client addresses with few free tries, and names with many, since guessing from many addresses must not be
    free. Whoever guesses so can make an owner wait in a browser that is new to the account; one that signed in before
    is a key of its own, and waits for its own tries only.
    """

    def __init__(self, now: Callable[[], float], free: int = FREE_TRIES) -> None:
        self._now = now
        self._free = free
        # tries, the last one's time, and whether somebody was told that it waits
        self._tries: dict[str, tuple[int, float, bool]] = {}
        self._lock = threading.Lock()

    def wait_for(self, *keys: str) -> float:
        """Seconds until the next try is heard; 0 when it is."""
        with self._lock:
            return max((self._wait(key) for key in keys), default=0.0)

    def first_held_back(self, key: str) -> bool:
        """True for the first try that a wait holds back: one line in a log says it, a thousand say no more."""
        with self._lock:
            if self._wait(key) <= 0:
                return False
            count, last, told = self._tries[key]
            self._tries[key] = (count, last, True)
            return not told

    def failed(self, *keys: str) -> None:
        now = self._now()
        with self._lock:
            for key in keys:
                count, last, _ = self._tries.get(key, (0, now, False))
                self._tries[key] = (1 if now - last > FORGET_SECONDS else count + 1, now, False)
            while len(self._tries) > MOST_TRACKED:
                del self._tries[min(self._tries, key=lambda key: self._tries[key][1])]

    def succeeded(self, *keys: str) -> None:
        with self._lock:
            for key in keys:
                self._tries.pop(key, None)

    def _wait(self, key: str) -> float:
        count, last, _ = self._tries.get(key, (0, 0.0, False))
        if count < self._free:
            return 0.0
        pause = min(300.0, 5.0 * 2.0 ** min(10, count - self._free))
        return max(0.0, last + pause - self._now())


def _has_ended(session: Session, now: float) -> bool:
    return now - session.seen > IDLE_SECONDS or now - session.started > LONGEST_SECONDS


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
