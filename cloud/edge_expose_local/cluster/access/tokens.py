"""Bearer tokens: the administrator's, and signed ones for ServiceAccounts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from pathlib import Path

from ...private_files import write_private
from ..kinds.errors import ApiError, Document, unauthorized
from ..store.store import Store
from .rbac import ANONYMOUS, User, service_account_user

ISSUER = "https://kubernetes.default.svc"
ADMIN = User("admin", ("system:masters", "system:authenticated"))


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Tokens:
    """Makes and checks tokens; keys are kept in the state folder."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._store = store
        self.admin = self._kept(folder / "admin.token")
        self._key = self._kept(folder / "token.key").encode()

    @staticmethod
    def _kept(path: Path) -> str:
        if not path.exists():
            write_private(path, secrets.token_hex(32).encode())
        return path.read_text().strip()

    def mint(self, namespace: str, name: str, uid: str, seconds: int, audiences: list[str]) -> tuple[str, float]:
        """Return a token for a ServiceAccount and the time (Unix seconds) it ends."""
        now = time.time()
        claims = {
            "iss": ISSUER,
            "aud": audiences or [ISSUER],
            "iat": int(now),
            "exp": int(now) + seconds,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
        }
        head = _b64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        signed = f"{head}.{_b64(json.dumps(claims).encode())}"
        return f"{signed}.{self._signature(signed)}", now + seconds

    def _signature(self, text: str) -> str:
        return _b64(hmac.new(self._key, text.encode(), hashlib.sha256).digest())

    def user(self, authorization: str) -> User:
        """Return who an Authorization header belongs to; raises 401 for a bad one, anonymous without one."""
        if not authorization:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise unauthorized()
        found = self.check(token.strip())
        if found is None:
            raise unauthorized()
        return found

    def check(self, token: str) -> User | None:
        """Return the user of a token, or None when it is not valid."""
        if hmac.compare_digest(token.encode(), self.admin.encode()):
            return ADMIN
        signed, _, signature = token.rpartition(".")
        if not signed or not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            return None
        try:
            claims: Document = json.loads(_unb64(signed.split(".")[1]))
            bound = claims["kubernetes.io"]
            namespace, account = bound["namespace"], bound["serviceaccount"]
            if claims["exp"] < time.time():
                return None
        except (ValueError, KeyError, IndexError, TypeError):
            return None
        kept = self._store.get("serviceaccounts", namespace, account["name"])
        if kept is None or kept["metadata"].get("uid") != account["uid"]:
            return None
        return service_account_user(namespace, account["name"], account["uid"])

    def request(self, namespace: str, name: str, body: Document) -> Document:
        """Answer a TokenRequest."""
        account = self._store.get("serviceaccounts", namespace, name)
        if account is None:
            raise ApiError(
                404, "NotFound", f'serviceaccounts "{name}" not found', {"name": name, "kind": "serviceaccounts"}
            )
        spec = body.get("spec") or {}
        seconds = int(spec.get("expirationSeconds") or 3600)
        if seconds < 600:
            from ..kinds.errors import Cause, invalid  # the one place that refuses a TokenRequest

            why = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
            causes = [Cause("FieldValueInvalid", why, "spec.expirationSeconds")]
            raise invalid("authentication.k8s.io", "TokenRequest", "", causes)
        token, ends = self.mint(namespace, name, account["metadata"]["uid"], seconds, spec.get("audiences") or [])
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "audiences": spec.get("audiences") or [ISSUER],
                "expirationSeconds": seconds,
                "boundObjectRef": spec.get("boundObjectRef"),
            },
            "status": {"token": token, "expirationTimestamp": stamp},
        }
