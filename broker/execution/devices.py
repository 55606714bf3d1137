"""The devices of one machine, handed out to its runs: each run sees its own, and no other does.

Who has which stands in one file of the data directory. A device is free again when its run's lock is, which the
kernel gives up with the last process of the run, so a restarted broker needs no memory of its own.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from broker.execution.engine import NotYet
from broker.execution.files import locked
from broker.private_file import write_private_file

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
NO_DEVICE = ""


class DevicesBusy(NotYet):
    """Fewer devices are free than the run needs: one that has ended for the broker still lets go of its own."""


def list_devices(slots: int, environ: Mapping[str, str]) -> list[str]:
    """List a device for each slot: those that the broker itself may see, by index or UUID, or else the first ones.

    A slot beyond those that are named has none. As in CUDA, what comes after an invalid index is not seen.
    """
    named = environ.get(VISIBLE_DEVICES)
    if named is None:
        return [str(number) for number in range(slots)]
    devices: list[str] = []
    for name in map(str.strip, named.split(",")):
        if not name or name.startswith("-"):
            break
        devices.append(name)
    return [*devices, *[NO_DEVICE] * slots][:slots]


@dataclass(frozen=True)
class DeviceSlots:
    """The devices that may be handed out, and the file with who has which."""

    path: Path
    devices: Sequence[str]

    def take(self, run_id: str, count: int, *, is_held: Callable[[str], bool]) -> str:
        """Take free devices for a run; returns what it may see. `is_held`: whether a run still has a process.

        Raises: DevicesBusy.
        """
        with locked(self.path.with_suffix(".lock")):
            taken = {other: names for other, names in self._read().items() if other != run_id and is_held(other)}
            free = self._list_free(taken.values())
            if len(free) < count:
                raise DevicesBusy(f"run {run_id} needs {count}, and {len(free)} of {len(self.devices)} are free")
            write_private_file(self.path, json.dumps(taken | {run_id: free[:count]}))
        return ",".join(name for name in free[:count] if name != NO_DEVICE)

    def _list_free(self, taken: Iterable[list[str]]) -> list[str]:
        left = Counter(self.devices)
        left.subtract(Counter(name for names in taken for name in names))
        free = []
        for name in self.devices:
            if left[name] > 0:
                left[name] -= 1
                free.append(name)
        return free

    def _read(self) -> dict[str, list[str]]:
        try:
            held: dict[str, list[str]] = json.loads(self.path.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return held
