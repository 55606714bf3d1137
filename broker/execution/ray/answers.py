"""What a Ray cluster's REST API says, read into values. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from broker.capacity.model import NodeCapacity
from broker.execution.engine import RunState

ENDED = {"SUCCEEDED", "FAILED", "STOPPED"}
ALREADY_EXISTS = "already exists"
SHORT_ID = 8  # characters of a node's id that tell it from the others of its machine
MOST_DETAIL = 200


class UnreadableAnswer(ValueError):
    """The API said what no known release says."""


@dataclass(frozen=True)
class JobSeen:
    """A job as Ray tells it now. `exit_code`: of what it ran, where that ended by itself."""

    status: str
    exit_code: int | None = None
    message: str = ""

    @property
    def run_state(self) -> RunState:
        if self.status == "PENDING":
            return RunState.WAITING
        if self.status not in ENDED:
            return RunState.ALIVE
        return RunState.GONE if self.exit_code is None else RunState.EXITED

    @property
    def detail(self) -> str:
        """Say in Ray's words how the job ended: the first line, without what the run has printed."""
        said = self.message.strip().split("\n", 1)[0][:MOST_DETAIL]
        return f"Ray job {self.status}" + (f": {said}" if said else "")


@dataclass(frozen=True)
class NodeSeen:
    """A node of the cluster. `id` is Ray's own, which a machine that comes back has anew."""

    id: str
    machine: str
    resources: dict[str, float]
    is_alive: bool

    @property
    def name(self) -> str:
        return f"{self.machine}-{self.id[:SHORT_ID]}"


def read_job(answer: Any) -> JobSeen:
    """Read one job. Raises: UnreadableAnswer."""
    try:
        status, code = str(answer["status"]), answer.get("driver_exit_code")
        if status == "SUCCEEDED" and code is None:
            code = 0
        return JobSeen(status, None if code is None else int(code), str(answer.get("message") or ""))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableAnswer(f"a job lacks {error}") from error


def read_nodes(answer: Any) -> list[NodeSeen]:
    """Read the nodes of the state API, those that are gone too. Raises: UnreadableAnswer."""
    try:
        return [
            NodeSeen(
                str(node["node_id"]),
                str(node.get("node_name") or node["node_ip"]),
                {str(name): float(count) for name, count in (node.get("resources_total") or {}).items()},
                node["state"] == "ALIVE",
            )
            for node in answer["data"]["result"]["result"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableAnswer(f"a node lacks {error}") from error


def count_nodes(nodes: Iterable[NodeSeen], resource: str) -> tuple[NodeCapacity, ...]:
    """Count what each live node has of a resource, in whole units; those that are gone come back under another id."""
    counted = [NodeCapacity(node.name, int(node.resources.get(resource, 0))) for node in nodes if node.is_alive]
    return tuple(sorted((node for node in counted if node.gpus), key=lambda node: node.name))
