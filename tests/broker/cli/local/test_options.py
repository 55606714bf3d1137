"""Settings as commands load them: what is wrong is one line in our own words."""

import pytest

from broker.cli.local.options import load_settings
from broker.errors import OperatorError


def test_wrong_setting_is_told_without_the_librarys_name_for_it() -> None:
    """A past fault: the line said "Value error, 'abacus' is not…"."""
    with pytest.raises(OperatorError, match=r"^BROKER_GPU_TYPE: 'abacus' is not in the catalogue"):
        load_settings(gpu_type="abacus")


def test_setting_under_its_old_name_is_refused_with_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be passed over in silence, and the runs would go to the pool `local`."""
    monkeypatch.setenv("BROKER_LOCAL_POOL", "a100")
    with pytest.raises(OperatorError, match="BROKER_LOCAL_POOL is called BROKER_POOL now"):
        load_settings()
