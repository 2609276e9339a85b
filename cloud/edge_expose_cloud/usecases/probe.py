"""Test connection: the module on the device connects to an exposure at its external address, once and now."""

from __future__ import annotations

from dataclasses import dataclass

from edge_expose_cloud.hub.api import Hub, HubError, HubProblem
from edge_expose_contract.identity import MODULE_ID

ANSWER_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Tested:
    """`answers` is None where the device could not be asked; `text` says what was found."""

    answers: bool | None
    text: str


def probe_exposure(hub: Hub, device_id: str, name: str) -> Tested:
    """Asks the module; whatever it answers is one sentence."""
    try:
        result = hub.invoke(device_id, MODULE_ID, "probe", {"exposure": name}, ANSWER_SECONDS)
    except HubError as error:
        who = "the device did not answer" if error.problem is HubProblem.OFFLINE else "the device could not be asked"
        return Tested(None, f"{who}: {error.message}")
    payload = result.payload if isinstance(result.payload, dict) else {}
    probes = payload.get("probes")
    found = probes.get(name) if isinstance(probes, dict) else None
    if not isinstance(found, dict):
        return Tested(None, f"the device said: {str(payload.get('error') or 'nothing')[:200]}")
    target, took = str(found.get("target") or "")[:80], found.get("milliseconds")
    detail = str(found.get("detail") or "")[:200]
    if found.get("ok") is True:
        time = f" in {took:.0f} ms" if isinstance(took, int | float) and not isinstance(took, bool) else ""
        return Tested(True, f"{target or 'it'} answers{time}{f': {detail}' if detail else ''}")
    return Tested(False, f"{target or 'it'} does not answer{f': {detail}' if detail else ''}")
