"""Refusals of the service API: status, the name IoT Hub uses, its number, and the three body shapes it has."""

from __future__ import annotations

import json
import uuid
from typing import Literal

BodyShape = Literal["named", "numbered", "nested"]


class HubError(Exception):
    """A request that IoT Hub answers with an error status.

    `name` goes into the header `iothub-errorcode`; `number` is the six-digit code of the numbered bodies.
    """

    def __init__(
        self,
        status: int,
        name: str,
        text: str,
        number: int | None = None,
        shape: BodyShape = "named",
        close: bool = False,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.name = name
        self.text = text
        self.number = number if number is not None else status * 1000 + 1
        self.shape = shape
        self.close = close

    def body(self, timestamp: str) -> bytes:
        """The JSON body: named `{"Message","ExceptionMessage"}`, numbered `{"errorCode",..}`, nested: in Message."""
        tracking = uuid.uuid4().hex.upper()
        numbered = {
            "errorCode": self.number,
            "message": self.text,
            "trackingId": tracking,
            "timestampUtc": timestamp,
        }
        if self.shape == "numbered":
            return json.dumps(numbered).encode()
        message = f"ErrorCode:{self.name};{self.text}" if self.shape == "named" else json.dumps(numbered)
        return json.dumps(
            {"Message": message, "ExceptionMessage": f"Tracking ID:{tracking}-TimeStamp:{timestamp}"}
        ).encode()


def argument_invalid(text: str, shape: BodyShape = "named") -> HubError:
    """400004; the number stands in the body of the method calls alone, whose shape is `nested`."""
    return HubError(400, "ArgumentInvalid", text, 400004, shape)


def bad_request(text: str) -> HubError:
    return HubError(400, "GenericBadRequest", text, 400000)


def unauthorized(text: str) -> HubError:
    return HubError(401, "IotHubUnauthorizedAccess", text, 401002)


def device_not_found(device: str, module: str | None = None) -> HubError:
    """Also the answer for a missing module twin, as the service does it."""
    what = f"{device}/{module}" if module else device
    return HubError(404, "DeviceNotFound", f"Device {what} not registered", 404001)


def module_not_found(device: str, module: str) -> HubError:
    return HubError(404, "ModuleNotFound", f"Module {module} not registered on device {device}", 404010, "numbered")


def precondition_failed() -> HubError:
    return HubError(
        412, "PreconditionFailed", "Precondition failed: Device version did not match, etag mismatch", 412001
    )


def device_not_online(device: str) -> HubError:
    text = f"Timed out waiting for device {device} to connect."
    return HubError(404, "DeviceNotOnline", text, 404103, "nested")
