"""A real Slurm on this machine: a controller and two nodes of four pretended GPUs each, all below one folder."""

import os
import random
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.engines.keeper import Keeper, keeper

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
NODES, GPUS_PER_NODE = ("n1", "n2"), 4
# A loaded machine is slow to answer: what is too short here ends runs, and so fails tests.
NODE_SILENT_SECONDS, MESSAGE_SECONDS = 40, 15
WAIT_SECONDS = 300.0
SAVING_SECONDS = 6.0
PORTS = range(20_000, 32_000)  # below those that the kernel gives to whoever connects

# What a node is asked of less than of a real one: no cgroups, no cores of its own, a GPU is a link to /dev/null.
SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
JobAcctGatherType=jobacct_gather/none
{accounting}
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
MessageTimeout={answer}
SlurmdTimeout={silent}
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus} Gres=gpu:{gpus}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cpus} Gres=gpu:{gpus}
PartitionName=train Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none"


def list_missing(programs: Iterable[str] = PROGRAMS) -> list[str]:
    """List what this machine lacks to run the cluster."""
    return [program for program in programs if shutil.which(program) is None]


@dataclass
class SlurmCluster:
    """The daemons, each of which may be killed and started again."""

    folder: Path
    keeper: Keeper
    daemons: dict[str, psutil.Process] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    def start_munged(self) -> None:
        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid"}
        files |= {"log-file": "munged.log", "seed-file": "munge.seed"}
        options = [f"--{name}={self.folder / file}" for name, file in files.items()]
        self.start("munged", "munged", "--foreground", "--force", "--num-threads=2", *options)
        self.await_daemon("munged", (self.folder / "munge.socket").exists)

    def start(self, name: str, *command: str) -> None:
        """Start one of our daemons; what it prints lies in the folder."""
        self.daemons[name] = self.keeper.start(command, self.folder / f"{name}.out", os.environ | self.environment)

    def await_daemon(self, name: str, answers: Callable[[], bool]) -> None:
        """Wait until one of our daemons answers. Raises: ChildProcessError, where it has ended instead."""

        def is_there() -> bool:
            if not self.daemons[name].is_running():
                raise ChildProcessError(f"{name} has ended: {(self.folder / f'{name}.out').read_text()[-2000:]}")
            return answers()

        wait_until(is_there, f"{name} answers")

    def start_controller(self) -> None:
        self.start("slurmctld", "slurmctld", "-D", "-f", str(self.conf))
        self.await_daemon("slurmctld", lambda: "UP" in self.ask("scontrol", "ping"))

    def start_node(self, name: str) -> None:
        self.start(name, "slurmd", "-D", "-N", name, "-f", str(self.conf))

    def await_nodes(self) -> None:
        """Wait until every node takes jobs, and open those that were closed."""

        def are_open() -> bool:
            states = self.ask("sinfo", "--noheader", "--Node", "--format=%T").split()
            if "down" in states or "drained" in states:
                self.ask("scontrol", "update", "NodeName=n1,n2", "State=RESUME")
            return len(states) == len(NODES) and set(states) <= {"idle", "mixed", "allocated", "completing"}

        wait_until(are_open, "the nodes are open")

    def await_saved_state(self) -> None:
        """Wait until the controller has written down what it knows now: it does so every five seconds."""
        time.sleep(SAVING_SECONDS)

    def take_away(self) -> None:
        """Kill the controller."""
        self.await_saved_state()  # it kills what it finds running and has no memory of
        self.kill("slurmctld")

    def bring_back(self) -> None:
        if "slurmctld" not in self.daemons:
            self.start_controller()
            self.await_nodes()

    def kill(self, name: str) -> None:
        """Kill one of our daemons."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait(WAIT_SECONDS)

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | self.environment)
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.conf)}


@contextmanager
def slurm_cluster(
    folder: Path, account: Callable[[SlurmCluster], str] | None = None, *, gpus: int = GPUS_PER_NODE
) -> Iterator[SlurmCluster]:
    """Start a cluster below a folder, with so many GPUs a node; its daemons and what they run end with the block.

    `account` starts what keeps its accounts, and returns the lines of slurm.conf for it.
    """
    with keeper() as kept:
        cluster = SlurmCluster(folder, kept)
        _write_key(cluster)
        cluster.start_munged()
        _write_files(cluster, NO_ACCOUNTING if account is None else account(cluster), gpus)
        cluster.start_controller()
        for node in NODES:
            cluster.start_node(node)
        cluster.await_nodes()
        yield cluster


def _write_key(cluster: SlurmCluster) -> None:
    key = cluster.folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))


def _write_files(cluster: SlurmCluster, accounting: str, gpus: int) -> None:
    folder = cluster.folder
    for name in ("state", "devices", *(f"spool.{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    for number in range(gpus):
        (folder / "devices" / f"gpu{number}").symlink_to("/dev/null")
    fields = {"folder": folder, "host": socket.gethostname(), "user": os.environ.get("USER", "root")}
    cluster.conf.write_text(
        SLURM_CONF.format(
            **fields,
            ports=find_ports(3),
            gpus=gpus,
            cpus=max(16, gpus),
            silent=NODE_SILENT_SECONDS,
            answer=MESSAGE_SECONDS,
            accounting=accounting,
        )
    )
    devices = folder / "devices" / f"gpu[0-{gpus - 1}]"
    (folder / "gres.conf").write_text(f"NodeName=n[1-2] Name=gpu File={devices}\n")


def find_ports(count: int) -> list[int]:
    """Find ports that are free now, and that nobody is given who asks for any."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.choice(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports += [port] if port not in ports else []
    return ports


def wait_until(is_so: Callable[[], bool], what: str, *, seconds: float = WAIT_SECONDS) -> None:
    """Wait until something is so. Raises: TimeoutError."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not so after {seconds:g} s")
        time.sleep(0.1)
