"""What azure-identity says when signing in with Microsoft Entra ID fails, in one line each, with what to do. Pure."""

from __future__ import annotations

import re

from edge_expose_cloud.hub.api import HubError, HubProblem

# Entra's own error numbers -> (what is wrong, what to do).
_CODES: dict[str, tuple[str, str]] = {
    "7000215": ("the client secret is wrong", "set AZURE_CLIENT_SECRET to the secret's value, not its id"),
    "7000222": ("the client secret has expired", "make a new secret for the app registration"),
    "700016": ("the application is not known in this tenant", "check AZURE_CLIENT_ID and AZURE_TENANT_ID"),
    "90002": ("the tenant is not known", "check AZURE_TENANT_ID"),
    "700082": ("the sign-in has expired", "sign in again: az login"),
    "70043": ("the sign-in has expired", "sign in again: az login"),
    "50173": ("the sign-in was revoked", "sign in again: az login"),
    "50076": ("multi-factor authentication is asked for", "sign in again: az login"),
    "50079": ("multi-factor authentication is asked for", "sign in again: az login"),
    "53003": ("a conditional access policy refuses it", "sign in from where the policy allows it, or ask its owner"),
    "65001": ("consent is missing", "ask an administrator of the tenant to consent"),
    "500011": ("this tenant does not know Azure IoT Hub", "sign in to the tenant that the hub belongs to"),
}
_NOTHING = ("no sign-in was found", "az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET")


def sign_in_error(text: str) -> HubError:
    """The error for a text of azure-identity; no token and no secret stands in it."""
    code = re.search(r"AADSTS(\d+)", text)
    if code is not None:
        what, hint = _CODES.get(code[1], ("Microsoft Entra ID refused", "its error number is documented by Microsoft"))
        return HubError(HubProblem.UNAUTHORIZED, f"signing in failed: {what} (AADSTS{code[1]})", hint=hint)
    if "failed to retrieve a token" in text or "unavailable" in text or "az login" in text:
        return HubError(HubProblem.UNAUTHORIZED, f"signing in failed: {_NOTHING[0]}", hint=_NOTHING[1])
    first = text.strip().split("\n", 1)[0][:200]
    return HubError(HubProblem.UNAUTHORIZED, f"signing in failed: {first}", hint=_NOTHING[1])
