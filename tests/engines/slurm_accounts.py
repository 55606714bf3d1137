"""The accounting database of a real Slurm: slurmdbd on a MariaDB of its own, on loopback."""

import os
import subprocess
from pathlib import Path

from tests.engines.slurm_cluster import SlurmCluster, find_ports

PROGRAMS = ("slurmdbd", "sacct", "sacctmgr", "mariadbd", "mariadb-install-db")
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=root
StorageLoc=slurm
"""
SLURM_CONF = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket"""


def start_accounts(cluster: SlurmCluster) -> str:
    """Start the database and slurmdbd below the folder of a cluster; returns the lines of its slurm.conf."""
    port, database_port = find_ports(2)
    _start_database(cluster, cluster.folder / "database", database_port)
    fields = {"folder": cluster.folder, "port": port, "database_port": database_port}
    conf = cluster.folder / "slurmdbd.conf"
    conf.touch(mode=0o600)
    conf.write_text(SLURMDBD_CONF.format(**fields, user=os.environ.get("USER", "root")))
    cluster.start("slurmdbd", "slurmdbd", "-D")
    cluster.await_daemon("slurmdbd", lambda: "slurmdbd version" in _read(cluster.folder / "slurmdbd.log"))
    return SLURM_CONF.format(**fields)


def _start_database(cluster: SlurmCluster, folder: Path, port: int) -> None:
    """Start a MariaDB that believes whoever reaches it."""
    common = ("--no-defaults", f"--datadir={folder}", f"--user={os.environ.get('USER', 'root')}")
    subprocess.run(
        ("mariadb-install-db", *common, "--skip-test-db", "--skip-name-resolve"), check=True, capture_output=True
    )
    place = f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/socket"
    cluster.start("mariadbd", "mariadbd", *common, *place, "--skip-grant-tables", "--skip-name-resolve")
    cluster.await_daemon("mariadbd", (folder / "socket").exists)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
