"""What Slurm's commands print, read into values. Pure.

The shapes differ by release: a state is a word in 22.05 and a list of words since 23.02, an exit code a wait status or
an object with numbers. Both are read.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from broker.capacity.model import NodeCapacity, NodeState
from broker.execution.engine import RunState

WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE"}
ENDED_BY_OTHERS = {"CANCELLED", "DEADLINE"}  # what stands as their exit code is not the run's
LOST = {"NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED"}
OPEN_NODES = {"idle", "mixed", "allocated", "completing", "planned"}
DRAINING_NODES = {"draining", "drained", "maint", "reserved", "reboot", "blocked", "perfctrs"}
NODE_FLAGS = "*~#!%$@^-+"
NOT_RESPONDING = "*"
ACCOUNT_COLUMNS = "JobIDRaw,JobName,State,ExitCode,NodeList"
LAST_SIGNAL = 64  # what Slurm tells above it are marks of its own: 125 is the end of memory
GRES = re.compile(r"(?P<name>[^,()]+?):(?P<count>\d+)(?:\([^)]*\))?(?:,|$)")


@dataclass(frozen=True)
class JobSeen:
    """A job as Slurm tells it now. `exit_code` stands where it ended by itself; -N means killed by signal N.

    `command`: the script that was submitted.
    """

    job: str
    name: str
    states: frozenset[str]
    reason: str = ""
    node: str = ""
    exit_code: int | None = None
    command: str = ""

    @property
    def run_state(self) -> RunState:
        """Say what this means of the run; a job that is ending still holds its devices."""
        if self.states & LOST:
            return RunState.GONE
        if "COMPLETING" in self.states:
            return RunState.ALIVE
        if self.states & ENDED:
            is_told = self.exit_code is not None and not self.states & ENDED_BY_OTHERS
            return RunState.EXITED if is_told else RunState.GONE
        return RunState.WAITING if self.states & WAITING else RunState.ALIVE

    @property
    def detail(self) -> str:
        """Say in Slurm's words how the job ended, and where."""
        words = " ".join(sorted(self.states))
        place = f" on {self.node}" if self.node else ""
        return f"Slurm job {self.job}{place}: {words}" + (f" ({self.reason})" if self.reason else "")


class UnreadableAnswer(ValueError):
    """A command printed what no known release prints."""


def read_errors(answer: dict[str, Any]) -> str:
    """Read the errors of an answer in JSON: a command that reached nobody prints them, and exits with 0."""
    return "; ".join(str(error.get("description") or error.get("error")) for error in answer.get("errors") or ())


def parse_answer(text: str) -> dict[str, Any]:
    """Parse an answer in JSON. Raises: UnreadableAnswer."""
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise UnreadableAnswer(text[:200]) from error
    if not isinstance(answer, dict):
        raise UnreadableAnswer(text[:200])
    return answer


def read_jobs(answer: dict[str, Any]) -> list[JobSeen]:
    """Read the jobs that squeue tells of. Raises: UnreadableAnswer."""
    try:
        return [_read_job(job) for job in answer["jobs"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableAnswer(f"a job lacks {error}") from error


def _read_job(job: dict[str, Any]) -> JobSeen:
    states = _read_words(job["job_state"])
    ended_by_itself = bool(states & ENDED)
    reason = str(job.get("state_reason") or "")
    return JobSeen(
        str(job["job_id"]),
        str(job.get("name") or ""),
        states,
        reason="" if reason == "None" else reason,
        node=str(job.get("nodes") or ""),
        exit_code=_read_exit_code(job.get("exit_code")) if ended_by_itself else None,
        command=str(job.get("command") or ""),
    )


def read_account(line: str) -> JobSeen:
    """Read a job as sacct tells it in columns (`ACCOUNT_COLUMNS`). Raises: UnreadableAnswer.

    Its exit code is `75:0`, or `0:9` after signal 9; one above 128 is told less 128, so that 137 reads as 9. Who
    cancelled stands in the state: `CANCELLED by 0`.
    """
    try:
        job, name, state, code, node = line.split("|")
        ended, number = (int(part) for part in code.split(":"))
    except ValueError as error:
        raise UnreadableAnswer(line[:200]) from error
    word = state.split()[0] if state else ""
    exit_code = None if number > LAST_SIGNAL else -number or ended
    return JobSeen(job, name, frozenset({word}), node=node, exit_code=exit_code if word in ENDED else None)


def _read_words(state: str | list[str]) -> frozenset[str]:
    words = [state] if isinstance(state, str) else state
    return frozenset(word.upper() for word in words)


def _read_exit_code(code: int | dict[str, Any] | None) -> int | None:
    if code is None or isinstance(code, int):
        return None if code is None else os.waitstatus_to_exitcode(code)
    number = _read_number((code.get("signal") or {}).get("id") or (code.get("signal") or {}).get("signal_id"))
    return -number if number else _read_number(code.get("return_code"))


def _read_number(value: int | dict[str, Any] | None) -> int | None:
    """Read a number, which newer releases wrap as {"set": true, "infinite": false, "number": 75}."""
    if isinstance(value, dict):
        return int(value["number"]) if value.get("set") else None
    return value


def read_nodes(lines: Iterable[str], *, gres: str | None) -> tuple[NodeCapacity, ...]:
    """Read the nodes of `sinfo --Node --format=%N|%T|%G|%c`, each once, by name. Raises: UnreadableAnswer.

    `gres`: what a run asks for, such as `gpu` or `gpu:a100`; None counts CPUs.
    """
    nodes: dict[str, NodeCapacity] = {}
    for line in filter(None, map(str.strip, lines)):
        fields = line.split("|")
        if len(fields) != 4:
            raise UnreadableAnswer(line[:200])
        name, state, offered, cpus = fields
        count = int(cpus) if gres is None else count_gres(offered, gres)
        if count:
            nodes[name] = NodeCapacity(name, count, _read_node_state(state))
    return tuple(nodes[name] for name in sorted(nodes))


def _read_node_state(state: str) -> NodeState:
    word = state.rstrip(NODE_FLAGS).lower()
    if NOT_RESPONDING in state:
        return NodeState.DOWN
    if word in OPEN_NODES:
        return NodeState.OPEN
    return NodeState.DRAINING if word in DRAINING_NODES else NodeState.DOWN


def count_gres(offered: str, wanted: str) -> int:
    """Count what a node offers of a generic resource: `gpu` is every type of it, `gpu:a100` that one."""
    return sum(
        int(found["count"])
        for found in GRES.finditer(offered)
        if found["name"] == wanted or found["name"].startswith(wanted + ":")
    )
