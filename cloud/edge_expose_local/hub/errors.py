"""Refusals of the service API: status, the name IoT Hub uses, its number, and the three body shapes it has."""

from __future__ import annotations

import json
import uuid
from typing import Literal

BodyShape = Literal["named", "numbered", "nested"]


class HubError(Exception):
    """A request that IoT Hub answers with an error status.

    `name` goes into the header `iothub-errorcode`; `number` is the six-digit code of the numbered bodies. `text` is
    what the service says, where that was seen (the issues and measurements named in README.md); `detail` is this
    hub's own explanation beside it.
    """

    def __init__(
        self,
        status: int,
        name: str,
        text: str,
        number: int | None = None,
        shape: BodyShape = "named",
        close: bool = False,
        detail: str | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.name = name
        self.text = text
        self.number = number if number is not None else status * 1000 + 1
        self.shape = shape
        self.close = close
        self.detail = detail

    @property
    def explanation(self) -> str:
        return self.detail or self.text

    def body(self, timestamp: str) -> bytes:
        """The JSON body: named `{"Message","ExceptionMessage"}`, numbered `{"errorCode",..}`, nested: in Message."""
        tracking = f"{uuid.uuid4().hex.upper()}-G2:-TimeStamp:{timestamp}"
        numbered = {
            "errorCode": self.number,
            "message": self.text,
            "trackingId": tracking,
            "timestampUtc": timestamp,
            "info": self.detail,
        }
        if self.shape == "numbered":
            return json.dumps(numbered).encode()
        message = f"ErrorCode:{self.name};{self.text}" if self.shape == "named" else json.dumps(numbered)
        exception = f"Tracking ID:{tracking}" + (f", local hub: {self.detail}" if self.detail else "")
        return json.dumps({"Message": message, "ExceptionMessage": exception}).encode()


def argument_invalid(text: str, shape: BodyShape = "named") -> HubError:
    """400004; the number stands in the body of the method calls alone, whose shape is `nested`."""
    return HubError(400, "ArgumentInvalid", text, 400004, shape)


def bad_request(text: str) -> HubError:
    return HubError(400, "GenericBadRequest", text, 400000)


def unauthorized(text: str) -> HubError:
    return HubError(401, "IotHubUnauthorizedAccess", "Unauthorized", 401002, detail=text)


def device_not_found(device: str, module: str | None = None) -> HubError:
    """Also the answer for a missing module twin, as the service does it."""
    what = f"{device}/{module}" if module else device
    return HubError(404, "DeviceNotFound", what, 404001, detail=f"{what} is not registered")


def module_not_found(device: str, module: str) -> HubError:
    return HubError(404, "ModuleNotFound", f"Module {module} not registered on device {device}", 404010, "numbered")


def precondition_failed() -> HubError:
    return HubError(412, "PreconditionFailed", "PreconditionFailed, ETag may be invalid.", 412001)


def device_not_online(device: str) -> HubError:
    text = f"Timed out waiting for device {device} to connect."
    return HubError(404, "DeviceNotOnline", text, 404103, "nested")
