"""The script that starts a run on a node, without any engine: a shell runs it here."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from broker.execution.engine import LaunchSpec
from broker.execution.run_script import JobRecord, RunFiles, read_end

SPEC = LaunchSpec("run_1", "job_1", 3, "s3cret", 1, "http://broker", "n1")


@pytest.fixture
def write(tmp_path):
    """Return what writes the files of a run that is a Python program."""

    def write(program: str) -> RunFiles:
        files = RunFiles.of(tmp_path / "a folder", "run_1")
        files.make_folder()
        files.write_start(SPEC, (sys.executable, "-c", program), {"FURTHER": "it's"}, job="job $JOB")
        return files

    return write


def run(files: RunFiles) -> int:
    return subprocess.run(["sh", str(files.script)], env={"JOB": "7"}, check=False, timeout=60).returncode


def test_trainer_gets_the_protocol_and_its_exit_code_is_kept(write):
    files = write("import os; print(os.environ['LORA_RUN_TOKEN'], os.environ['FURTHER']); raise SystemExit(75)")
    assert run(files) == 75
    assert files.find_exit_code() == 75
    assert files.find_started() == "job 7"
    assert (files.folder / "trainer.log").read_text() == "s3cret it's\n"


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(137)", 137),
        ("raise SystemExit(255)", 255),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os.kill(os.getpid(), 15)", -15),
    ],
)
def test_exit_code_above_128_is_none_of_the_signals(write, program, code):
    """A past fault: a trainer that ended with 137 was told to have been killed by signal 9."""
    files = write(program)
    assert run(files) == (code if code > 0 else 128 - code)
    assert files.find_exit_code() == code


def test_end_on_a_node_without_python_is_told_as_a_shell_does(write, tmp_path):
    for program in ("mv", "cat", "setsid", "sleep", "sh"):
        (tmp_path / program).symlink_to(shutil.which(program))
    files = write("raise SystemExit(137)")
    environment = {"JOB": "7", "PATH": str(tmp_path)}
    subprocess.run([shutil.which("sh"), str(files.script)], env=environment, check=False, timeout=60)
    assert (files.folder / "exit").read_text() == "shell 137\n"
    assert files.find_exit_code() == -signal.SIGKILL


def test_trainer_that_is_not_there_is_told_by_its_exit_code_and_its_log(tmp_path):
    files = RunFiles.of(tmp_path, "run_1")
    files.make_folder()
    files.write_start(SPEC, ("/nowhere/trainer",), {}, job="7")
    assert run(files) == files.find_exit_code() == 127
    assert "/nowhere/trainer" in (files.folder / "trainer.log").read_text()


@pytest.mark.parametrize(
    ("told", "code"), [("137\n", -9), ("75\n", 75), ("shell 143", -15), ("exit 137", 137), ("signal 9", -9)]
)
def test_how_a_trainer_ended_is_read_also_as_earlier_releases_wrote_it(told, code):
    assert read_end(told) == code


@pytest.mark.parametrize("torn", ["", "exit", "signal x"])
def test_torn_word_of_an_end_is_no_end_yet(torn):
    with pytest.raises(ValueError, match="invalid literal"):
        read_end(torn)


def test_second_job_of_a_run_starts_nothing(write):
    files = write("import os; open(os.environ['LORA_WORK_DIR'] + '/starts', 'a').write('x')")
    assert [run(files), run(files)] == [0, 0]
    assert (files.folder / "work" / "starts").read_text() == "x"


def test_run_token_stands_in_a_file_of_its_owner_and_in_no_script(write):
    files = write("pass")
    assert (files.folder / "environment").stat().st_mode & 0o777 == 0o600
    assert files.folder.stat().st_mode & 0o777 == 0o700
    assert "s3cret" not in files.script.read_text() + (files.folder / "trainer.sh").read_text()


@pytest.mark.parametrize(
    ("asked", "code"), [(signal.SIGTERM, 75), (signal.SIGUSR1, -signal.SIGKILL)], ids=["asked to end", "killed"]
)
def test_signal_to_the_script_reaches_the_trainer(write, asked, code):
    ready = "open(os.environ['LORA_WORK_DIR'] + '/ready', 'w'); "
    program = f"import os, signal, sys, time; signal.signal(15, lambda *_: sys.exit(75)); {ready}time.sleep(60)"
    files = write(program)
    with subprocess.Popen(["sh", str(files.script)]) as script:
        deadline = time.monotonic() + 30
        while not (files.folder / "work" / "ready").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(script.pid, asked)
        script.wait(30)
    assert files.find_exit_code() == code


def test_record_that_is_torn_still_says_that_something_was_submitted(write):
    files = write("pass")
    assert files.read_record() is None
    files.write_record(JobRecord("run_1", 3, "7"))
    assert files.read_record() == JobRecord("run_1", 3, "7")
    (files.folder / "job.json").write_text("{")
    assert files.read_record() == JobRecord("run_1", 0)
    files.forget()
    assert files.read_record() is None


def test_run_that_is_taken_back_never_starts_and_one_that_has_started_is_not_taken_back(write):
    files = write("import os; open(os.environ['LORA_WORK_DIR'] + '/starts', 'a').write('x')")
    assert files.take_back()
    assert files.take_back()
    assert run(files) == 0
    assert files.is_taken_back
    assert files.find_started() is None
    assert not (files.folder / "work" / "starts").exists()
    (files.folder / "started").unlink()
    run(files)
    assert not files.take_back()


def test_run_that_ignores_sigterm_is_killed_by_a_file(write):
    ready = "open(os.environ['LORA_WORK_DIR'] + '/ready', 'w'); "
    files = write(f"import os, signal, time; signal.signal(15, signal.SIG_IGN); {ready}time.sleep(60)")
    with subprocess.Popen(["sh", str(files.script)]) as script:
        deadline = time.monotonic() + 30
        while not (files.folder / "work" / "ready").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        script.send_signal(signal.SIGTERM)
        files.kill()
        script.wait(30)
    assert files.find_exit_code() == -signal.SIGKILL


def test_trainer_does_not_outlive_the_script_that_an_engine_kills(write):
    """A past fault: what Ray ran on a node whose daemon was killed trained on, on GPUs that were given away."""
    program = "import os, time; open(os.environ['LORA_WORK_DIR'] + '/pid', 'w').write(str(os.getpid())); time.sleep(60)"
    files, pid = write(program), ""
    with subprocess.Popen(["sh", str(files.script)]) as script:
        deadline = time.monotonic() + 30
        while not pid:
            assert time.monotonic() < deadline
            time.sleep(0.02)
            with suppress(FileNotFoundError):
                pid = (files.folder / "work" / "pid").read_text()
        script.kill()
    trainer = psutil.Process(int(pid))
    while trainer.is_running() and trainer.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
