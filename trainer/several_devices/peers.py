"""The other processes of a run of the broker that holds several devices.

The first process claims the run, speaks with the broker and writes; when its inputs are there it starts the others,
each of them `trainer train` with the very configuration, as `trainer train --num-processes` does. They know no token.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from pricing.training.config import TrainingConfig
from trainer.atomic_files import writing_file
from trainer.errors import ExitCode
from trainer.log import write_line
from trainer.several_devices.launch import (
    GRACE_SECONDS,
    POLL_SECONDS,
    describe_meeting,
    end_all,
    find_free_port,
    start_process,
)
from trainer.several_devices.processes import SINGLE_PROCESS, Processes, join_processes, leave_processes, wait_for_all

SECRETS = frozenset({"LORA_RUN_TOKEN"})


@contextmanager
def with_peers(count: int, config: TrainingConfig, work_dir: Path) -> Iterator[Processes]:
    """Start the other processes of a run of `count` devices, this one being the first; all end with the block.

    Where one of the others fails, this process cannot go on: it ends with FAILED, and the broker tries the run again.
    """
    if count == 1:
        yield SINGLE_PROCESS
        return
    port = find_free_port()
    command = ["train", "--config", str(write_config(config, work_dir / "peers.yaml"))]
    peers = [start_process(rank, count, port, command, without=SECRETS) for rank in range(1, count)]
    closing = threading.Event()
    watch = threading.Thread(target=_watch, args=(peers, closing), name="peers", daemon=True)
    watch.start()
    try:
        with _environment_of_first(count, port):
            processes = join_processes()
        yield processes
        wait_for_all(processes)
        leave_processes(processes)
    finally:
        closing.set()
        watch.join()
        end_all(peers)


def write_config(config: TrainingConfig, file: Path) -> Path:
    with writing_file(file) as aside:
        aside.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    return file


@contextmanager
def _environment_of_first(count: int, port: int) -> Iterator[None]:
    """Set what `accelerate launch` would have set, within the block: what is started later is not one of them."""
    meeting = describe_meeting(0, count, port)
    os.environ.update(meeting)
    try:
        yield
    finally:
        for name in meeting:
            del os.environ[name]


def _watch(peers: Sequence[subprocess.Popen[bytes]], closing: threading.Event) -> None:
    """End this process where another has failed: it may be waiting for that one for ever."""
    while not closing.wait(POLL_SECONDS):
        failed = next(((rank, one.poll()) for rank, one in enumerate(peers, start=1) if one.poll()), None)
        if failed is None or closing.wait(GRACE_SECONDS):  # a stopped run ends in all of them, each with a code
            continue
        write_line(f"process {failed[0]} of this run ended with exit code {failed[1]}; the run cannot go on")
        end_all(peers)
        sys.stdout.flush()
        os._exit(ExitCode.FAILED)
