"""Devices of a machine: which there are, and that no two runs have the same."""

from pathlib import Path

import pytest

from broker.execution.devices import DevicesBusy, DeviceSlots, list_devices


@pytest.mark.parametrize(
    ("visible", "devices"),
    [
        (None, ["0", "1"]),
        ("3,5", ["3", "5"]),
        (" GPU-8932f937 , MIG-aa ", ["GPU-8932f937", "MIG-aa"]),
        ("0,1,2,3", ["0", "1"]),
        ("7", ["7", ""]),
        ("", ["", ""]),
        ("-1", ["", ""]),
        ("2,-1,3", ["2", ""]),
    ],
)
def test_devices_are_those_that_the_broker_sees(visible: str | None, devices: list[str]) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert list_devices(2, environ) == devices


class Runs:
    """Runs that hold their devices until they are ended."""

    def __init__(self, folder: Path, devices: list[str]) -> None:
        self.path, self.devices, self.ended = folder / "devices.json", devices, set[str]()

    def take(self, run_id: str, count: int = 1) -> str:
        """Take devices as a broker does that knows only what is in the file."""
        slots = DeviceSlots(self.path, self.devices)
        return slots.take(run_id, count, is_held=lambda other: other not in self.ended)


def test_each_run_has_devices_of_its_own_until_it_ends(tmp_path: Path) -> None:
    runs = Runs(tmp_path, ["GPU-a", "GPU-b"])
    assert [runs.take("run_1"), runs.take("run_2")] == ["GPU-a", "GPU-b"]
    with pytest.raises(DevicesBusy, match="run_3 needs 1, and 0 of 2 are free"):
        runs.take("run_3")
    runs.ended.add("run_1")
    assert runs.take("run_3") == "GPU-a"


def test_run_that_is_launched_again_gets_what_it_had(tmp_path: Path) -> None:
    runs = Runs(tmp_path, ["0", "1"])
    assert [runs.take("run_1"), runs.take("run_1"), runs.take("run_2")] == ["0", "0", "1"]


def test_run_of_several_devices_gets_all_or_none(tmp_path: Path) -> None:
    runs = Runs(tmp_path, ["0", "1", "2"])
    assert runs.take("run_1", 2) == "0,1"
    with pytest.raises(DevicesBusy):
        runs.take("run_2", 2)
    assert runs.take("run_3") == "2"


def test_slots_without_a_device_see_none(tmp_path: Path) -> None:
    runs = Runs(tmp_path, ["", ""])
    assert [runs.take("run_1"), runs.take("run_2")] == ["", ""]
    with pytest.raises(DevicesBusy):
        runs.take("run_3")


def test_torn_file_is_as_good_as_none(tmp_path: Path) -> None:
    runs = Runs(tmp_path, ["0"])
    runs.path.write_text('{"run_1": ["0"')
    assert runs.take("run_2") == "0"
