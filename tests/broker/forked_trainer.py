"""A real `trainer` for brokers of tests, forked from a process that has imported torch and what trains with it.

Importing those takes most of the time of a tiny training. What the broker starts is `trainer_door.py`, a child like
any other. `test_real_training.py`, the tests of the trainer's protocol and those of its command start Python anew.
"""

import atexit
import gc
import json
import os
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.broker.forked import ForkedProcess

DOOR = Path(__file__).with_name("trainer_door.py")
IMPORTED = (
    "trainer.commands.cli",
    "trainer.commands.profile",
    "trainer.commands.train",
    "trainer.families.chatglm.chatglm",
    "trainer.families.stable_diffusion.stable_diffusion",
    "trainer.families.text.causal_lm",
    "trainer.labelling.captioner",
    "trainer.protocol.assigned_checking",
    "trainer.protocol.assigned_labelling",
    "trainer.protocol.assigned_training",
    "trainer.protocol.worker",
)


def forked_trainer() -> str:
    """Write the value of BROKER_TRAINER_COMMAND for trainers that are forked; the first call starts their parent."""
    return shlex.join([sys.executable, "-S", "-E", str(DOOR), str(open_parent()), "run"])


@cache
def open_parent() -> Path:
    """Start the process that trainers are forked from; returns the socket at which it takes orders."""
    folder = Path(tempfile.mkdtemp(prefix="lora-broker-trainers-"))
    parent = ForkedProcess(fork_trainers, folder / "socket", output=folder / "log")

    def close() -> None:
        parent.kill()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(close)
    return folder / "socket"


def fork_trainers(place: Path) -> None:
    """Import what trainers import, then fork one for each order that comes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen(64)
        import_trainer()
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for who attends to one
        while True:
            door, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                attend(door)
                os._exit(0)
            door.close()


def import_trainer() -> None:
    for module in IMPORTED:
        import_module(module)
    import_module("torch").set_num_threads(1)  # tiny tensors


def attend(door: socket.socket) -> None:
    """Start the trainer of an order, pass signals on to it, and tell its exit code; it ends with who ordered it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, files, _flags, _place = socket.recv_fds(door, 4, 3)
    order = json.loads(door.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
    pid = os.fork()
    if pid == 0:
        door.close()
        be_trainer(order, files)
    threading.Thread(target=pass_signals_on, args=(door, pid), daemon=True).start()
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        door.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def pass_signals_on(door: socket.socket, pid: int) -> None:
    with suppress(OSError):
        while numbers := door.recv(64):
            for number in numbers:
                os.kill(pid, number)
        os.kill(pid, signal.SIGKILL)


def be_trainer(order: dict[str, Any], files: list[int]) -> None:
    """Run `trainer …` in this process, which has just been forked, and end it."""
    code: object = 1
    try:
        os.setsid()
        for stream, file in enumerate(files):
            os.dup2(file, stream)
            os.close(file)
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["folder"])
        tempfile.tempdir = None
        for written in (sys.stdout, sys.stderr):
            written.reconfigure(write_through="PYTHONUNBUFFERED" in os.environ)  # type: ignore[union-attr]
        sys.argv = ["trainer", *order["arguments"]]
        from trainer.commands.cli import app  # noqa: PLC0415 (it is there)

        app()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 (as Python itself does)
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))
