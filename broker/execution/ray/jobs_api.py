"""The REST API of a Ray cluster: its dashboard, and what its failures mean."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2 as httpx

from broker.execution.engine import EngineUnreachable
from broker.execution.ray.answers import ALREADY_EXISTS, JobSeen, NodeSeen, UnreadableAnswer, read_job, read_nodes

MOST_NODES = 10_000
REFUSED_BY_AGENT = "Request failed with status code 400"  # the head wraps what its agent says, as a 500
CURES = {
    401: "set BROKER_RAY_TOKEN to the cluster's token (ray get-auth-token)",
    403: "set BROKER_RAY_TOKEN to the cluster's token (ray get-auth-token)",
}


class SubmissionRefused(Exception):
    """Ray answered, and takes no such job."""


class JobsApi:
    """Asks a cluster at its address, such as http://head:8265. Every method raises EngineUnreachable."""

    def __init__(self, address: str, *, token: str | None = None, timeout_seconds: float = 60.0) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = httpx.AsyncClient(base_url=address, headers=headers, timeout=timeout_seconds, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def submit(self, submission_id: str, entrypoint: str, options: Mapping[str, Any]) -> None:
        """Submit a job, once: one that is there under its id is left as it is. Raises: SubmissionRefused."""
        answer = await self._ask(
            "POST", "/api/jobs/", json={"submission_id": submission_id, "entrypoint": entrypoint, **options}
        )
        if answer.is_success or ALREADY_EXISTS in answer.text:
            return
        if answer.status_code in {400, 422} or REFUSED_BY_AGENT in answer.text:
            raise SubmissionRefused(_last_line(answer.text))
        raise self._unreachable(answer)

    async def find_job(self, submission_id: str) -> JobSeen | None:
        """Find a job; None where the cluster has none of this id, such as after a restart of its head."""
        answer = await self._ask("GET", f"/api/jobs/{submission_id}")
        if answer.status_code == 404:
            return None
        try:
            return read_job(self._parse(answer))
        except UnreadableAnswer as error:
            raise self._unreachable(answer) from error

    async def stop_job(self, submission_id: str) -> None:
        """Ask the processes of a job that runs to end; one that waits is not stopped by Ray, whatever it answers."""
        answer = await self._ask("POST", f"/api/jobs/{submission_id}/stop")
        if not answer.is_success and answer.status_code not in {400, 404}:
            raise self._unreachable(answer)

    async def list_nodes(self) -> list[NodeSeen]:
        """List the nodes of the cluster."""
        answer = await self._ask("GET", "/api/v0/nodes", params={"detail": "true", "limit": str(MOST_NODES)})
        try:
            return read_nodes(self._parse(answer))
        except UnreadableAnswer as error:
            raise self._unreachable(answer) from error

    async def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            async with asyncio.timeout(self._timeout_seconds):  # of all: an answer may come in drops
                return await self._client.request(method, path, **content)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            said = str(error) or type(error).__name__
            raise EngineUnreachable(
                f"BROKER_RAY_ADDRESS: the Ray cluster at {self._address} does not answer ({said}); start its head with"
                " `ray start --head --dashboard-host=0.0.0.0`, or name the address of its dashboard"
            ) from error

    def _parse(self, answer: httpx.Response) -> Any:
        if not answer.is_success:
            raise self._unreachable(answer)
        try:
            return answer.json()
        except ValueError as error:
            raise self._unreachable(answer) from error

    def _unreachable(self, answer: httpx.Response) -> EngineUnreachable:
        cure = CURES.get(answer.status_code, "look whether that is the dashboard of Ray 2.9 or later, and at its log")
        said = f"{answer.status_code}: {_last_line(answer.text)}"
        return EngineUnreachable(
            f"BROKER_RAY_ADDRESS: the Ray cluster at {self._address} does not answer as it should ({said}); {cure}"
        )


def _last_line(text: str) -> str:
    """Pick what a traceback ends with."""
    lines = [line for line in text.strip().splitlines() if line.strip(" .")]
    return lines[-1][:200] if lines else ""
