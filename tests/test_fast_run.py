"""Which tests the fast run has, and which files workers take first: by what they ask for, and by how long they took."""

import inspect
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import Any

import pytest

from broker.persistence.embedded import start_embedded_server
from tests.fast_run import POSTGRES, belongs_to_fast_run, is_fast
from tests.lengths import Lengths, rank_files
from tests.nameless_files import NamelessFiles

# Each starts a PostgreSQL, or makes what does.
STARTING = {"start_embedded_server", "ServedBroker", "run_server"}


@pytest.mark.parametrize(
    ("fixtures", "markers", "belongs"),
    [
        ((), (), True),
        (("tmp_path", "tiny_model"), ("parametrize",), True),
        ((), ("slow",), False),
        (("api", "server", "server_folders"), (), False),
        (("api", "server", "server_folders"), ("story",), True),
        (("api", "server", "server_folders"), ("story", "slow"), False),
    ],
)
def test_a_test_is_fast_by_what_it_asks_for(fixtures: tuple[str, ...], markers: tuple[str, ...], belongs: bool) -> None:
    assert belongs_to_fast_run(fixtures, markers) == belongs


def test_nameless_file_that_is_left_open_fails_the_test_that_left_it() -> None:
    within = NamelessFiles().pytest_runtest_call()
    next(within)
    with TemporaryFile(), pytest.raises(AssertionError, match=r"left open: .*deleted"):
        next(within)


def list_named(item: pytest.Item) -> set[str]:
    """List what a test and its fixtures name in their code."""
    assert isinstance(item, pytest.Function)
    fixtures = (each.func for found in item._fixtureinfo.name2fixturedefs.values() for each in found)
    return {name for made in (item.function, *fixtures) for name in inspect.unwrap(made).__code__.co_names}


def test_whoever_starts_a_postgresql_asks_for_a_folder_for_it(request: pytest.FixtureRequest) -> None:
    """By that fixture alone a fast run knows what to leave out. Looked at are the tests that run beside this one."""
    asking_for_none = [item for item in request.session.items if is_fast(item) and POSTGRES not in item.fixturenames]
    assert asking_for_none
    assert {item.nodeid for item in asking_for_none if list_named(item) & STARTING} == set()


def test_one_that_does_not_ask_would_be_found(request: pytest.FixtureRequest) -> None:
    def start() -> None:
        start_embedded_server(Path())

    assert list_named(pytest.Function.from_parent(request.node.parent, name="start", callobj=start)) & STARTING


def test_the_file_that_takes_longest_is_taken_first_and_equal_ones_as_they_came() -> None:
    many, long, short, other = (Path(name) for name in ("many", "long", "short", "other"))
    tests = [(short, 0.1), *[(many, 1.0)] * 3, (long, 60.0), (other, 0.1)]
    assert rank_files(tests) == {long: 0, many: 1, short: 2, other: 3}


class Cache:
    """What pytest keeps from one run to the next."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, key: str, default: Any) -> Any:
        return self.kept.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.kept[key] = value


def run(cache: Any, **seconds: float) -> None:
    lengths = Lengths(cache, is_worker=False)
    for test, took in seconds.items():
        for part in (took / 4, took / 2, took / 4):  # set up, called, torn down
            lengths.pytest_runtest_logreport(SimpleNamespace(nodeid=test, duration=part))
    lengths.pytest_sessionfinish()


def test_the_next_run_knows_what_the_last_took_and_a_part_of_the_tests_forgets_no_other() -> None:
    cache = Cache()
    run(cache, one=2.0, other=8.0)
    run(cache, one=4.0)
    assert Lengths(cache, is_worker=True).read() == {"one": 4.0, "other": 8.0}
