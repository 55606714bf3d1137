import pytest

from broker.facades.hf.repositories import find_revision, is_owner, name_owner

ACME = {"id": "cus_1", "name": "Acme Tea & Co."}
VERSIONS = [{"version": number, "sha256": f"{number}" * 64} for number in (12, 2, 1)]


@pytest.mark.parametrize(
    ("name", "owner"), [("Acme Tea & Co.", "acme-tea-co"), ("云绘", "cus_1"), ("Acme 云绘", "acme"), ("A__B", "a-b")]
)
def test_a_customer_owns_repositories_by_its_name_as_the_hub_writes_one(name, owner):
    assert name_owner({"id": "cus_1", "name": name}) == owner


def test_a_customer_is_known_by_its_name_and_by_its_id_and_by_no_others():
    assert [is_owner(each, ACME) for each in ("acme-tea-co", "cus_1", "acme", "")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("revision", "version"),
    [("main", 12), ("v2", 2), ("v12", 12), ("1" * 40, 1), ("v3", None), ("v02", None), ("2", None), ("1" * 39, None)],
)
def test_a_revision_is_the_newest_a_version_or_a_commit(revision, version):
    found = find_revision(VERSIONS, revision)
    assert (None if found is None else found["version"]) == version
