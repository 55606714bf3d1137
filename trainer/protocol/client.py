"""The worker protocol over HTTP (docs/worker-protocol.md): one method for each request, no retries, no threads."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx2
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from pricing.catalog.profile import BaseModelProfile
from trainer.atomic_files import writing_file
from trainer.errors import BadInput, BrokerAway, BrokerRefused, FencedOff
from trainer.protocol.observations import Observations
from trainer.protocol.traces import HEADER, find_traceparent, span

TIMEOUT = httpx2.Timeout(10.0, read=30.0)
CHUNK_BYTES = 8 * 1024 * 1024
HEARTBEAT_TIMEOUT = httpx2.Timeout(10.0)
TEMPORARY_STATUSES = frozenset({408, 425, 429})
STALE_FENCE = "stale-fence-token"
# Which worker protocol this trainer speaks, and the oldest broker that it can work for (docs/worker-protocol.md).
PROTOCOL, OLDEST_PROTOCOL = 1, 1

Answer = TypeVar("Answer", bound=BaseModel)
Outcome = Literal["succeeded", "failed", "stopped", "preempted"]
ResultName = Literal["adapter", "captions", "report"]


@dataclass(frozen=True)
class RunEnvironment:
    """What the engine tells the process: which run it is, and the credentials for just that run."""

    broker_url: str
    run_id: str
    run_token: str
    fence_token: int
    work_dir: Path


def read_run_environment(environ: Mapping[str, str] = os.environ) -> RunEnvironment:
    """Read what the engine has set. Raises: BadInput, if a variable is missing or makes no sense."""
    names = ("LORA_BROKER_URL", "LORA_RUN_ID", "LORA_RUN_TOKEN", "LORA_FENCE_TOKEN", "LORA_WORK_DIR")
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise BadInput(
            ", ".join(missing), "not set; `trainer run` is started by the broker, people use `trainer train`"
        )
    url, run_id, token, fence, work_dir = (environ[name] for name in names)
    if not url.startswith(("http://", "https://")):
        raise BadInput("LORA_BROKER_URL", f"must begin with http:// or https://, not {url!r}")
    if not fence.isdigit():
        raise BadInput("LORA_FENCE_TOKEN", f"must be a whole number, not {fence!r}")
    return RunEnvironment(url.rstrip("/"), run_id, token, int(fence), Path(work_dir))


class RemoteFile(BaseModel):
    url: str
    sha256: str
    size_bytes: int


class RemoteCheckpoint(RemoteFile):
    step: int


class TrackerAccess(BaseModel):
    """The customer's own tracker: what it is, where, and what opens it. `kind` and `key` None: the secret is gone.

    `networks` are those beside the public internet that its address may lead to.
    """

    secret: str
    kind: Literal["mlflow", "wandb", "swanlab"] | None = None
    key: str | None = Field(default=None, repr=False)
    url: str | None = None
    username: str | None = None
    project: str | None = None
    networks: list[str] = []


class RunAssignment(BaseModel):
    """The answer to a claim: what to train, on how many devices, from where.

    `base_model` is the profile of one that the broker's operator added; None where the catalogue's is meant. Brokers of
    before say no `protocol`, and speak the first.
    """

    protocol: int = 1
    run_id: str
    job_id: str
    attempt: int
    gpus: int
    config: dict[str, Any]
    heartbeat_seconds: float
    base_model: BaseModelProfile | None = None
    dataset: RemoteFile
    checkpoint: RemoteCheckpoint | None
    init_adapter: RemoteFile | None = None
    tracker: TrackerAccess | None = None
    next_sequence: int
    next_log_number: int = 0
    now: AwareDatetime


class QuarantinedInterval(BaseModel):
    """An interval that the broker keeps and does not charge, and why."""

    sequence: int
    message: str


class Cost(BaseModel):
    """Money as the broker counts it; `amount` is an exact decimal in words, never a float."""

    amount: str
    currency: str


class HeartbeatReply(BaseModel):
    """`acknowledged_sequence`: the highest sequence that is stored with all before it; -1 for none. `cost_so_far` is
    that of the whole job, of which this run may be a later attempt.
    """

    command: Literal["continue", "stop"]
    reason: str | None = None
    acknowledged_sequence: int
    quarantined: list[QuarantinedInterval] = []
    cost_so_far: Cost | None = None


class ChunksReply(BaseModel):
    """`received_bytes`: how much of a file the broker has."""

    received_bytes: int


class BrokerClient:
    """The requests of one run.

    Every method raises: FencedOff (the run is no longer ours), BrokerAway (try again later), BrokerRefused (do not).
    """

    def __init__(self, environment: RunEnvironment, *, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.chunk_bytes = chunk_bytes
        self._fence_token = environment.fence_token
        self._run = f"/v1/runs/{environment.run_id}"
        self._http = httpx2.Client(
            base_url=environment.broker_url,
            headers={
                "Authorization": f"Bearer {environment.run_token}",
                "X-Worker-Protocol": str(PROTOCOL),
            },
            timeout=TIMEOUT,
            event_hooks={"request": [name_trace]},
        )

    def close(self) -> None:
        self._http.close()

    def claim(self) -> RunAssignment:
        with span("claim"):
            assignment = parse_answer(RunAssignment, self._post("claim", {}))
        if assignment.protocol < OLDEST_PROTOCOL:
            told = f"the broker speaks worker protocol {assignment.protocol}, this trainer {OLDEST_PROTOCOL} or later"
            raise BrokerRefused(f"{told}: update the broker first")
        return assignment

    def send_heartbeat(
        self, progress: dict[str, Any] | None, usage: list[dict[str, Any]], observations: Observations | None = None
    ) -> HeartbeatReply:
        body = {"progress": progress, "usage": usage, **(observations or {})}
        return parse_answer(HeartbeatReply, self._post("heartbeats", body, timeout=HEARTBEAT_TIMEOUT))

    def send_log(self, lines: list[dict[str, Any]]) -> None:
        self._post("logs", {"lines": lines})

    def finish(
        self,
        outcome: Outcome,
        *,
        error: dict[str, str] | None,
        progress: dict[str, Any] | None,
        usage: list[dict[str, Any]],
        observations: Observations | None = None,
    ) -> None:
        said = {"outcome": outcome, "error": error, "progress": progress, "usage": usage}
        with span("finish", outcome=outcome):
            self._post("finish", {**said, **(observations or {})})

    def download(self, remote: RemoteFile, to: Path) -> None:
        """Fetch a file: it is at `to` whole and with the right SHA-256, or not at all."""
        with span("download", size_bytes=remote.size_bytes):
            self._download(remote, to)

    def _download(self, remote: RemoteFile, to: Path) -> None:
        digest = hashlib.sha256()
        with writing_file(to) as aside, aside.open("wb") as file:
            try:
                with self._http.stream("GET", remote.url) as response:
                    if response.is_error:
                        response.read()
                    raise_for_problem(response)
                    for chunk in response.iter_bytes():
                        digest.update(chunk)
                        file.write(chunk)
            except httpx2.RequestError as error:
                raise BrokerAway(f"GET {remote.url}: {error}") from error
            file.flush()
            if digest.hexdigest() != remote.sha256:
                raise BrokerAway(f"GET {remote.url}: the SHA-256 differs from the one announced")

    def upload_checkpoint(self, step: int, file: Path) -> None:
        self._put(f"checkpoints/{step}", file)

    def upload_result(self, name: ResultName, file: Path) -> None:
        self._put(name, file)

    def _post(self, name: str, body: dict[str, Any], *, timeout: httpx2.Timeout = TIMEOUT) -> httpx2.Response:
        fenced = {"fence_token": self._fence_token, **body}
        try:
            response = self._http.post(f"{self._run}/{name}", json=fenced, timeout=timeout)
        except httpx2.RequestError as error:
            raise BrokerAway(f"POST {name}: {error}") from error
        raise_for_problem(response)
        return response

    def _put(self, name: str, file: Path) -> None:
        """Send a small file in one request, a large one in chunks; called again, go on from what the broker has."""
        with span(f"upload {name.partition('/')[0]}", size_bytes=file.stat().st_size):
            self._put_traced(name, file)

    def _put_traced(self, name: str, file: Path) -> None:
        with file.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
            content.seek(0)
            if file.stat().st_size <= self.chunk_bytes:
                self._send(name, content.read(), sha256)
                return
            received = self._count_received(sha256)
            content.seek(received)
            while chunk := content.read(self.chunk_bytes):
                self._send(f"chunks/{sha256}", chunk, sha256, offset=received)
                received += len(chunk)
        self._send(name, b"", sha256, from_chunks=True)

    def _count_received(self, sha256: str) -> int:
        path = f"{self._run}/chunks/{sha256}"
        try:
            response = self._http.get(path)
        except httpx2.RequestError as error:
            raise BrokerAway(f"GET {path}: {error}") from error
        raise_for_problem(response)
        return parse_answer(ChunksReply, response).received_bytes

    def _send(self, name: str, content: bytes, sha256: str, **query: int | bool) -> None:
        headers = {
            "Content-Type": "application/octet-stream",
            "X-Fence-Token": str(self._fence_token),
            "X-Content-SHA256": sha256,
        }
        try:
            response = self._http.put(f"{self._run}/{name}", content=content, headers=headers, params=query)
        except httpx2.RequestError as error:
            raise BrokerAway(f"PUT {name}: {error}") from error
        raise_for_problem(response)


def name_trace(request: httpx2.Request) -> None:
    """Name the trace that a request is of, in its header; where there is none it stays as it is."""
    traceparent = find_traceparent()
    if traceparent is not None:
        request.headers[HEADER] = traceparent


def parse_answer(shape: type[Answer], response: httpx2.Response) -> Answer:
    """Read an answer. Raises: BrokerRefused, if it is not of that shape."""
    try:
        return shape.model_validate_json(response.content)
    except ValidationError as error:
        raise BrokerRefused(f"{response.request.url.path}: the answer is not understood ({error})") from error


def raise_for_problem(response: httpx2.Response) -> None:
    """Sort an error response into the three kinds that matter to a worker.

    Raises: FencedOff, BrokerAway, BrokerRefused; nothing for a success.
    """
    if response.is_success:
        return
    problem = _read_problem(response)
    said = f"{response.request.method} {response.request.url.path}: {response.status_code} {problem.get('detail', '')}"
    if response.status_code == 401 or (response.status_code == 409 and problem["type"].endswith(STALE_FENCE)):
        raise FencedOff(said)
    if response.is_server_error or response.status_code in TEMPORARY_STATUSES:
        raise BrokerAway(said)
    raise BrokerRefused(said)


def _read_problem(response: httpx2.Response) -> dict[str, str]:
    try:
        body = response.json()
    except ValueError:
        body = None
    fields = body if isinstance(body, dict) else {}
    return {"type": str(fields.get("type", "")), "detail": str(fields.get("detail", response.text[:200]))}
