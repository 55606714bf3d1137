"""The files by which a run starts on a machine that is not the agent's: a script, what it needs, and what it leaves.

All lie in the run's folder, `runs_dir/<run_id>/`, which every node sees at the same path:

    launch.lock   flock of whoever submits the run, and of the command that it submits by
    job.json      the record: an intent (no job yet) before the run is submitted, the engine's job after
    environment   what the trainer is given, the run token among it (mode 0600); never on a command line
    run.sh        what the engine starts: SIGTERM asks the run's processes to end, SIGUSR1 kills them
    trainer.sh    what run.sh starts, in a session of its own, and does not outlive it: the trainer, whose exit code it
                  keeps
    started       made by the first start of the script, and by no other: its content is the engine's job; or by who
                  takes the run back before it has started
    kill          where it is there, run.sh kills what it has asked to end
    exit          how the trainer has ended, once it has: `exit 75`, `signal 9`
    trainer.log   standard output and error
    work/         LORA_WORK_DIR

An engine that was asked twice, since nobody knows whether the first request arrived, may have two jobs of one run;
`started` is made exclusively, so that at most one of them trains, whatever crashed in between.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from broker.execution.engine import LaunchSpec, check_run_id
from broker.private_file import write_private_file

ASK_TO_END, KILL = "TERM", "USR1"  # the signals that run.sh understands
TAKEN_BACK = "it was taken back before it started"
SIGNAL_OFFSET = 128  # a shell tells the end by signal N as 128 + N, as if the program had said so itself

SCRIPT = """\
#!/bin/sh
# {title}
umask 077
cd /
child= asked= watching=
watch() {{ while kill -0 "$child" 2>/dev/null; do sleep 0.5; [ ! -e {folder}/kill ] || end KILL; done; }}
end() {{ asked=$1; [ -z "$child" ] || kill -s "$1" -- "-$child" 2>/dev/null || kill -s "$1" "$child" 2>/dev/null; }}
watch_once() {{ [ -z "$child" ] || [ -n "$watching" ] || {{ watching=1; watch & }}; }}
trap '{on_sigterm}; watch_once' TERM
trap 'end KILL' USR1
(set -C; echo "{job}" > {folder}/started) 2>/dev/null || exit 0  # another job of this run was first
setsid sh {folder}/trainer.sh $$ &
child=$!
[ -z "$asked" ] || {{ end "$asked"; watch_once; }}
while kill -0 "$child" 2>/dev/null; do wait "$child"; done
kill -s KILL -- "-$child" 2>/dev/null  # what the trainer left behind
[ -e {folder}/exit ] || echo signal 9 > {folder}/exit
read -r how number < {folder}/exit
[ "$how" != signal ] || number=$((number + {signal_offset}))
exit "$number"
"""

TRAINER_SCRIPT = """\
trap : TERM  # whoever ends the run asks all of its processes: this one waits for the exit code
(trap '' TERM; while kill -0 "$1" 2>/dev/null; do sleep 2; done; kill -s KILL 0) &  # run.sh is gone: so are we
exec >> {folder}/trainer.log 2>&1 < /dev/null
if command -v python3 > /dev/null; then
  python3 -I -c {tell_end} {folder}/exit.new sh -c {start}
else
  sh -c {start}
fi
code=$?
[ -s {folder}/exit.new ] || echo shell "$code" > {folder}/exit.new
mv {folder}/exit.new {folder}/exit
exit "$code"
"""

# A shell cannot tell an exit code of 137 from a SIGKILL: Python does, where the node has it.
TELL_END = """\
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: None)
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(f"exit {code}" if code >= 0 else f"signal {-code}")
"""


@dataclass(frozen=True)
class JobRecord:
    """What job.json holds. `job` is the engine's own word for it, None while nobody knows whether there is one."""

    run_id: str
    fence_token: int
    job: str | None = None


@dataclass(frozen=True)
class RunFiles:
    """The files of one run, seen from the agent."""

    folder: Path

    @classmethod
    def of(cls, runs_dir: Path, run_id: str) -> "RunFiles":
        """Find the files of a run. Raises: ValueError, for an id that is no plain name."""
        return cls(runs_dir / check_run_id(run_id))

    @property
    def launch_lock(self) -> Path:
        return self.folder / "launch.lock"

    @property
    def script(self) -> Path:
        return self.folder / "run.sh"

    def make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "work").mkdir(exist_ok=True)

    def write_start(
        self,
        spec: LaunchSpec,
        command: Sequence[str],
        further: Mapping[str, str],
        *,
        job: str,
        signals_all: bool = False,
    ) -> None:
        """Write what a node needs to start the run; `job`: what the shell there knows the engine's job by.

        `signals_all`: the engine sends SIGTERM to every process of the run, not to its script alone; to come twice
        could kill a trainer that is on its way out.
        """
        environment = {
            "PYTHONUNBUFFERED": "1",  # or the last lines of a killed run would be missing from its log
            "LORA_BROKER_URL": spec.broker_url,
            "LORA_RUN_ID": spec.run_id,
            "LORA_RUN_TOKEN": spec.run_token,
            "LORA_FENCE_TOKEN": str(spec.fence_token),
            "LORA_WORK_DIR": str(self.folder / "work"),
            **spec.trace_environment,
            **further,
        }
        exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
        write_private_file(self.folder / "environment", "\n".join(exports))
        folder, title = shlex.quote(str(self.folder)), f"LoRA Broker: {spec.run_id} of {spec.job_id}"
        start = f". {folder}/environment; exec {shlex.join(command)}"
        trainer_script = TRAINER_SCRIPT.format(folder=folder, start=shlex.quote(start), tell_end=shlex.quote(TELL_END))
        write_private_file(self.folder / "trainer.sh", trainer_script)
        on_sigterm = "asked=TERM" if signals_all else "end TERM"
        script = SCRIPT.format(title=title, folder=folder, job=job, on_sigterm=on_sigterm, signal_offset=SIGNAL_OFFSET)
        write_private_file(self.script, script)

    def read_record(self) -> JobRecord | None:
        try:
            return JobRecord(**json.loads((self.folder / "job.json").read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):  # torn by a power cut: something was submitted once, and that is all we know
            return JobRecord(self.folder.name, 0)

    def write_record(self, record: JobRecord) -> None:
        write_private_file(self.folder / "job.json", json.dumps(asdict(record)))

    def forget(self) -> None:
        """Forget an intent that came to nothing: the run may be launched as if it had never been tried."""
        (self.folder / "job.json").unlink(missing_ok=True)

    @property
    def is_launched(self) -> bool:
        """Tell whether nothing is left to submit: the engine has the run, or nobody is to start it any more."""
        return self.find_job() is not None or self.is_taken_back

    def may_run(self) -> bool:
        """Tell whether the run was submitted, or is about to be, and has left no exit code."""
        return self.read_record() is not None and self.find_exit_code() is None

    def take_back(self) -> bool:
        """Take the run back: no job of it will ever start. False where one has started."""
        try:
            with (self.folder / "started").open("x") as file:
                file.write(TAKEN_BACK)
        except FileExistsError:
            return self.is_taken_back
        return True

    @property
    def is_taken_back(self) -> bool:
        return self._read_started() == TAKEN_BACK

    @property
    def has_started(self) -> bool:
        return self.find_started() is not None

    def kill(self) -> None:
        """Have the script kill the processes that it has asked to end: for an engine that cannot signal it."""
        (self.folder / "kill").touch()

    def find_started(self) -> str | None:
        """Find the job that has started the run; None where none has."""
        started = self._read_started()
        return None if started == TAKEN_BACK else started

    def _read_started(self) -> str | None:
        with suppress(FileNotFoundError):
            return (self.folder / "started").read_text().strip()
        return None

    def find_job(self) -> str | None:
        """Find the engine's job of the run: the one that started it, or else the one that is on record."""
        record = self.read_record()
        return self.find_started() or (None if record is None else record.job)

    def find_exit_code(self) -> int | None:
        """Find the exit code that the script has left; -N means killed by signal N."""
        with suppress(FileNotFoundError, ValueError):
            return read_end((self.folder / "exit").read_text())
        return None


def read_end(told: str) -> int:
    """Read how a trainer ended; a number alone, or a shell's, is a signal above 128. Raises: ValueError."""
    *how, number = told.split() or [""]
    code = int(number)
    match how:
        case ["exit"]:
            return code
        case ["signal"]:
            return -code
        case _:
            return SIGNAL_OFFSET - code if code > SIGNAL_OFFSET else code
