"""Whose CPU it is."""

import pytest

from trainer.machine.cpu_vendor import is_made_for_mkl


@pytest.mark.parametrize(
    ("vendor", "is_intel"), [("GenuineIntel", True), ("AuthenticAMD", False)], ids=["Intel", "AMD"]
)
def test_mkl_is_for_intel(tmp_path, vendor, is_intel) -> None:
    information = tmp_path / "cpuinfo"
    information.write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n", "utf-8")
    assert is_made_for_mkl(information) is is_intel


def test_where_linux_tells_nothing_mkl_has_no_preference(tmp_path) -> None:
    assert not is_made_for_mkl(tmp_path / "cpuinfo")
