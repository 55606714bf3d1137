"""What a failing command means, and what to do: small scripts stand in for Slurm's commands."""

import sys

import pytest

from broker.execution.engine import EngineUnreachable
from broker.execution.slurm.commands import SlurmCommands, SubmissionRefused, clean_environment, explain

MUNGE = """squeue: error: If munged is up, restart with --num-threads=10
squeue: error: Munge encode failed: Failed to access "/run/munge/munge.socket.2" (Did you start munged?)"""
UNCONFIGURED = "squeue: fatal: Could not establish a configuration source"
DOWN = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
REACHED_NOBODY = '{"errors": [{"description": "Failed while looking for jobs"}], "jobs": []}'


@pytest.mark.parametrize(
    ("stderr", "fault", "cure"),
    [
        (MUNGE, "munged does not answer here", "systemctl start munge"),
        (UNCONFIGURED, "Slurm is not configured here", "SLURM_CONF"),
        (DOWN, "the controller does not answer", "scontrol ping"),
        ("", "the controller does not answer", "scontrol ping"),
    ],
)
def test_failure_is_told_in_one_line_with_setting_fault_and_cure(stderr, fault, cure):
    line = explain("squeue", stderr)
    assert line.startswith("BROKER_ENGINE: slurm: squeue: ")
    assert fault in line
    assert cure in line
    assert "\n" not in line


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return what puts a program of a name on the path, alone there."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name: str, *, stdout: str = "", stderr: str = "", code: int = 0) -> None:
        program = tmp_path / name
        lines = f"import sys\nsys.stdout.write({stdout!r})\nsys.stderr.write({stderr!r})\nsys.exit({code})\n"
        program.write_text(f"#!{sys.executable}\n{lines}")
        program.chmod(0o755)

    return put


def test_missing_program_is_told_by_its_name(install):
    with pytest.raises(EngineUnreachable, match="squeue: is not installed"):
        SlurmCommands().list_jobs()


def test_program_that_cannot_be_run_is_told_by_its_name(install, tmp_path):
    (tmp_path / "squeue").touch(mode=0o600)
    with pytest.raises(EngineUnreachable, match="squeue: cannot be run here"):
        SlurmCommands().list_jobs()


def test_commands_are_given_neither_peoples_habits_nor_our_secrets():
    habits = {"SQUEUE_STATES": "PENDING", "SBATCH_WAIT": "1", "SLURM_JOB_ID": "7", "BROKER_SECRET_KEY": "s3cret"}
    needed = {"SLURM_CONF": "/etc/slurm.conf", "PATH": "/bin"}
    assert clean_environment(habits | needed) == needed


def test_controller_that_was_not_reached_is_not_an_empty_cluster(install):
    install("squeue", stdout=REACHED_NOBODY)
    with pytest.raises(EngineUnreachable, match="does not answer"):
        SlurmCommands().list_jobs()


def test_refusal_that_every_run_would_get_is_told_from_one_that_may_pass(install, tmp_path):
    with (tmp_path / "lock").open("w") as lock:
        install("sbatch", stderr="sbatch: error: invalid partition specified: nope\n", code=1)
        with pytest.raises(SubmissionRefused, match="invalid partition"):
            SlurmCommands().submit(tmp_path / "run.sh", [], lock=lock.fileno())
        install("sbatch", stderr="sbatch: error: Batch job submission failed: Socket timed out\n", code=1)
        with pytest.raises(EngineUnreachable, match="Socket timed out"):
            SlurmCommands().submit(tmp_path / "run.sh", [], lock=lock.fileno())


def test_job_of_a_federation_is_known_by_its_number(install, tmp_path):
    install("sbatch", stdout="17;cluster\n")
    with (tmp_path / "lock").open("w") as lock:
        assert SlurmCommands().submit(tmp_path / "run.sh", [], lock=lock.fileno()) == "17"


def test_job_that_has_ended_is_no_failure_of_scancel(install):
    install("scancel", stderr="scancel: error: Kill job error on job id 7: Invalid job id specified\n", code=1)
    SlurmCommands().cancel("7")
    install("scancel", stderr="scancel: error: Kill job error on job id 7: Socket timed out\n", code=1)
    with pytest.raises(EngineUnreachable):
        SlurmCommands().cancel("7")


def test_cluster_without_accounting_knows_no_more(install):
    install("sacct", stderr="Slurm accounting storage is disabled\n", code=1)
    assert SlurmCommands().find_accounted("7") is None
