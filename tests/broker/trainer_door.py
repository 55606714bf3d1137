"""What a broker of a test starts as its trainer: hands all that it was given to the parent of forked trainers.

The standard library only, so that it starts at once. To whoever started it, it is the trainer: it passes signals on,
and ends as the trainer does, which does not outlive it.
"""

import json
import os
import signal
import socket
import sys
import time

PATIENCE_SECONDS = 300  # while the parent imports torch, on a machine that does much else


def main(place: str, *arguments: str) -> None:
    door = connect(place)
    folder = os.getcwd()  # noqa: PTH109 (to import pathlib takes longer than all of this)
    order = {"arguments": arguments, "environment": dict(os.environ), "folder": folder}
    body = json.dumps(order).encode()
    socket.send_fds(door, [len(body).to_bytes(4, "big")], [0, 1, 2])
    door.sendall(body)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda told, _frame: door.sendall(bytes([told])))
    code = int(door.makefile().read() or "1")
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def connect(place: str) -> socket.socket:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        door = socket.socket(socket.AF_UNIX)
        try:
            door.connect(place)
        except OSError:  # it is being started
            door.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return door


main(*sys.argv[1:])
