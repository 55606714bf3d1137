"""What all processes on one database must have in common, and what a process that differs is told."""

from dataclasses import replace
from typing import Any

import pytest

from broker.persistence.installation import OwnSettings, find_differences, found_installation
from tests.broker.conftest import START

OWN = OwnSettings(
    secret=b"0123456789abcdef",
    secret_source="from var/secret.key",
    storage_place="var/objects",
    storage_id="sto_1",
    public_url="http://broker:8000",
)
INSTALLATION = found_installation(OWN, installation_id="ins_1", storage_id="sto_1", now=START)


def test_process_with_the_same_settings_belongs_to_the_installation() -> None:
    assert find_differences(INSTALLATION, OWN) == []


def test_secret_is_kept_as_a_hash_that_another_installation_does_not_share() -> None:
    other = found_installation(OWN, installation_id="ins_2", storage_id="sto_1", now=START)
    assert OWN.secret.decode() not in INSTALLATION.secret_hash
    assert INSTALLATION.secret_hash != other.secret_hash


@pytest.mark.parametrize(
    ("changed", "setting", "told"),
    [
        ({"secret": b"another secret 16"}, "BROKER_SECRET_KEY", "from var/secret.key"),
        ({"storage_id": None}, "BROKER_STORAGE_DIR", "var/objects has no id: it is empty or not mounted"),
        ({"storage_id": "sto_2"}, "BROKER_STORAGE_DIR", "var/objects is another one (sto_2)"),
        ({"public_url": "http://other:1"}, "BROKER_PUBLIC_URL", "is http://other:1, but"),
    ],
)
def test_each_difference_names_its_setting(changed: dict[str, Any], setting: str, told: str) -> None:
    (difference,) = find_differences(INSTALLATION, replace(OWN, **changed))
    assert difference.startswith(f"{setting}: ")
    assert told in difference
    assert "another secret" not in difference


def test_all_differences_are_told_at_once() -> None:
    other = replace(OWN, secret=b"another secret 16", storage_id=None, public_url="http://other:1")
    assert len(find_differences(INSTALLATION, other)) == 3


def test_process_that_names_no_address_takes_the_others() -> None:
    assert find_differences(INSTALLATION, replace(OWN, public_url=None)) == []
