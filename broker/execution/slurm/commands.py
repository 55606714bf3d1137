"""Slurm's commands, called one at a time, and what their failures mean: who is at fault, and the cure."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from broker.capacity.model import NodeCapacity
from broker.execution.engine import EngineNotInstalled, EngineUnreachable
from broker.execution.slurm.answers import (
    ACCOUNT_COLUMNS,
    JobSeen,
    UnreadableAnswer,
    parse_answer,
    read_account,
    read_errors,
    read_jobs,
    read_nodes,
)

NO_ACCOUNTING = "accounting storage is disabled"
HOPELESS = (  # refusals of sbatch that the next run would get as well
    "Requested node configuration is not available",
    "Invalid generic resource",
    "invalid partition",
    "Invalid account",
    "Access/permission denied",
    "Invalid qos",
    "User's group not permitted",
    "Invalid node name",
    "unrecognized option",
    "invalid option",
    "Invalid feature",
    "Unable to open file",
)
# Settings of the commands that a shell may have for people's use, and that change what is asked; and what is secret.
WITHHELD_PREFIXES = ("SBATCH_", "SQUEUE_", "SCANCEL_", "SINFO_", "SACCT_", "SLURM_JOB", "BROKER_", "STRIPE_", "PG")
NOTHING_TO_CANCEL = "invalid job id", "already completing", "pending execution"  # it has ended, or has not begun
NOT_CONFIGURED = "Slurm is not configured here", "let SLURM_CONF name the cluster's slurm.conf"
CURES = {  # a word of stderr: what it means, and what to do
    "munge": (
        "munged does not answer here",
        "start it (systemctl start munge) with the key of the cluster",
    ),
    "configuration": NOT_CONFIGURED,
    "config source": NOT_CONFIGURED,
}
SILENT = (
    "the controller does not answer",
    "look at `scontrol ping`, and at slurmctld on the controller",
)
PROGRAM_MISSING = "is not installed", "install Slurm's commands (slurm-client) here, or set BROKER_ENGINE=local"
NOT_RUN = "cannot be run here", "look at the program, and at the limits of this user (ulimit -a)"
UNKNOWN_ANSWER = (
    "its answer is not understood",
    "report it with the release that `sinfo --version` tells",
)


class SubmissionRefused(Exception):
    """Slurm answered, and takes no such job."""


def explain(program: str, stderr: str) -> str:
    """Say in one line what is wrong and what to do, for a command that reached no controller."""
    found = next((meaning for word, meaning in CURES.items() if word in stderr.lower()), SILENT)
    lines = [line.removeprefix(f"{program}: error: ") for line in stderr.strip().splitlines()]
    return _say(program, *found, said=lines[0] if lines else "")


def _say(program: str, what: str, cure: str, *, said: str = "") -> str:
    return f"BROKER_ENGINE: slurm: {program}: {what}{f' ({said})' if said else ''}; {cure}"


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out of our environment what would change the commands, and what is none of theirs."""
    return {name: value for name, value in environ.items() if not name.startswith(WITHHELD_PREFIXES)}


@dataclass(frozen=True)
class SlurmCommands:
    """The commands, as this process's user. One that does not end within `timeout_seconds` is unreachable.

    Every method raises EngineUnreachable where Slurm does not answer.
    """

    timeout_seconds: float = 60.0

    def submit(self, script: Path, options: Sequence[str], *, lock: int) -> str:
        """Submit a script; returns the job. `lock`: a file that stays locked until sbatch has ended, whoever lives.

        Raises: SubmissionRefused: no job was made.
        """
        done = self._run("sbatch", "--parsable", *options, str(script), pass_fds=(lock,))
        if done.returncode == 0:
            return done.stdout.strip().split(";")[0]
        if any(phrase.lower() in done.stderr.lower() for phrase in HOPELESS):
            raise SubmissionRefused("; ".join(done.stderr.strip().splitlines()))
        raise EngineUnreachable(explain("sbatch", done.stderr))

    def list_jobs(self) -> list[JobSeen]:
        """List our user's jobs that the controller knows: waiting, running, and ended for less than its MinJobAge.

        Releases before 23.02 tell those of all users whatever is asked.
        """
        return self._ask_for_jobs("squeue", "--json", "--me", "--states=all")

    def find_accounted(self, job: str) -> JobSeen | None:
        """Find a job that the controller has forgotten in the accounting database, where there is one.

        By columns: `sacct --json` of 22.05 calls the end by exit code 75 a success, with 0.
        """
        asked = f"--jobs={job}", f"--format={ACCOUNT_COLUMNS}"
        done = self._run("sacct", "--noheader", "--parsable2", "--allocations", *asked)
        if done.returncode != 0 or NO_ACCOUNTING in done.stderr:
            return None
        try:
            return next((seen for seen in map(read_account, done.stdout.splitlines()) if seen.job == job), None)
        except UnreadableAnswer as error:
            raise EngineUnreachable(_say("sacct", *UNKNOWN_ANSWER, said=str(error))) from error

    def list_nodes(self, *, partition: str | None, gres: str | None) -> tuple[NodeCapacity, ...]:
        """List the nodes that have what a run asks for, by columns: sinfo's JSON has another shape in each release."""
        within = () if partition is None else (f"--partition={partition}",)
        done = self._run("sinfo", "--noheader", "--Node", "--format=%N|%T|%G|%c", *within)
        if done.returncode != 0:
            raise EngineUnreachable(explain("sinfo", done.stderr))
        try:
            return read_nodes(done.stdout.splitlines(), gres=gres)
        except UnreadableAnswer as error:
            raise EngineUnreachable(_say("sinfo", *UNKNOWN_ANSWER, said=str(error))) from error

    def signal(self, job: str, name: str) -> None:
        """Send a signal to the script of a job that runs, which hands it on.

        SIGKILL would not do: Slurm takes it for a cancellation, and waits for its KillWait first.
        """
        self._scancel("--batch", f"--signal={name}", job)

    def cancel(self, job: str) -> None:
        """End a job in whatever state it is."""
        self._scancel(job)

    def _scancel(self, *arguments: str) -> None:
        done = self._run("scancel", *arguments)
        if done.returncode != 0 and not any(phrase in done.stderr.lower() for phrase in NOTHING_TO_CANCEL):
            raise EngineUnreachable(explain("scancel", done.stderr))

    def _ask_for_jobs(self, program: str, *arguments: str) -> list[JobSeen]:
        done = self._run(program, *arguments)
        try:
            answer = parse_answer(done.stdout)
            wrong = read_errors(answer)
            if done.returncode != 0 or wrong:
                raise EngineUnreachable(explain(program, done.stderr or wrong))
            return read_jobs(answer)
        except UnreadableAnswer as error:
            if done.returncode != 0 or done.stderr:
                raise EngineUnreachable(explain(program, done.stderr)) from error
            raise EngineUnreachable(_say(program, *UNKNOWN_ANSWER, said=str(error))) from error

    def _run(self, *command: str, pass_fds: Sequence[int] = ()) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.timeout_seconds,
                check=False,
                pass_fds=tuple(pass_fds),
                env=clean_environment(os.environ),
            )
        except subprocess.TimeoutExpired as error:
            said = error.stderr.decode(errors="replace") if isinstance(error.stderr, bytes) else ""
            raise EngineUnreachable(explain(command[0], said)) from error
        except FileNotFoundError as error:
            raise EngineNotInstalled(_say(command[0], *PROGRAM_MISSING)) from error
        except OSError as error:
            raise EngineUnreachable(_say(command[0], *NOT_RUN, said=str(error))) from error
