"""Settings as commands load them: what is wrong is one line in our own words."""

import pytest

from broker.cli.local.options import load_settings
from broker.errors import OperatorError


def test_wrong_setting_is_told_without_the_librarys_name_for_it() -> None:
    """A past fault: the line said "Value error, 'abacus' is not…"."""
    with pytest.raises(OperatorError, match=r"^BROKER_LOCAL_SKU: 'abacus' is not in the catalogue"):
        load_settings(local_sku="abacus")
