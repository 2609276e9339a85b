"""The operations on jobs, one method per route.

`GET /jobs/v2/query` answers a JSON array, as Azure/azure-iot-cli-extension and the Node.js SDK expect it.
"""

from __future__ import annotations

from edge_expose_local.http.messages import Request, Response, json_response
from edge_expose_local.hub.errors import HubError
from edge_expose_local.hub.hub import Hub
from edge_expose_local.hub.jobs import job_service
from edge_expose_local.hub.jobs.runner import JobRunner
from edge_expose_local.hub.service_api.paging import page, read_body
from edge_expose_local.hub.service_api.routes import Caller


class JobOperations:
    def __init__(self, hub: Hub, runner: JobRunner) -> None:
        self._state = hub.state
        self._runner = runner

    async def create_job(self, request: Request, caller: Caller, identifier: str) -> Response:
        job = job_service.create_job(self._state, identifier, read_body(request))
        self._runner.awake.set()
        return json_response(200, job_service.view(self._state, job))

    async def get_job(self, request: Request, caller: Caller, identifier: str) -> Response:
        return json_response(200, job_service.get_view(self._state, identifier))

    async def cancel_job(self, request: Request, caller: Caller, identifier: str) -> Response:
        answer = job_service.cancel_job(self._state, identifier)
        self._runner.awake.set()
        return json_response(200, answer)

    async def query_jobs(self, request: Request, caller: Caller) -> Response:
        kind, status = request.arg("jobType") or None, request.arg("jobStatus") or None
        rows = job_service.list_views(self._state, kind, status)
        return page(request, rows, "JobResponse", f"jobs {kind} {status}")

    async def list_import_export_jobs(self, request: Request, caller: Caller) -> Response:
        """None can be created here; clients that list jobs of all kinds ask for these too."""
        return json_response(200, [])

    async def get_import_export_job(self, request: Request, caller: Caller, identifier: str) -> Response:
        raise HubError(404, "JobNotFound", f"Job {identifier} not found", 404002)
