"""The house: a feature's tables are its own, and no two rooms import each other, however far around."""

import re
import tomllib
from pathlib import Path

import grimp
import pytest

PACKAGES = ("pricing", "broker", "trainer")
# The read side may read every table: that is what a report is.
READS_EVERY_TABLE = ("broker.reports", "broker.all_tables")
ROOT = Path(__file__).parents[1]
# Where names stand in a line of the drawings of docs/architecture.md: two of them at most.
NUMBER, FIRST, SECOND = 0, 4, 63


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def list_tables_modules(graph: grimp.ImportGraph) -> list[str]:
    return sorted(module for module in graph.modules if module.startswith("broker.") and module.endswith(".tables"))


def test_tables_of_a_feature_are_imported_by_it_and_by_who_reads_all_of_them(graph: grimp.ImportGraph) -> None:
    tables = list_tables_modules(graph)
    assert len(tables) >= 10, "a feature's tables are in its tables.py"
    strangers = {
        (importer, module)
        for module in tables
        for importer in graph.find_modules_that_directly_import(module)
        if not importer.startswith((module.removesuffix("tables"), *READS_EVERY_TABLE))
    }
    assert strangers == set()


def test_every_feature_with_tables_is_among_all_tables(graph: grimp.ImportGraph) -> None:
    assert set(list_tables_modules(graph)) <= graph.find_modules_directly_imported_by("broker.all_tables")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_rooms_import_each_other(graph: grimp.ImportGraph, package: str) -> None:
    """A circle of any length: each room is reached from the other."""
    rooms = sorted(graph.find_children(package))
    reached = {room: list_rooms_reached(graph, package, room) for room in rooms}
    circles = {(one, other) for one in rooms for other in reached[one] if one != other and one in reached[other]}
    assert circles == set()


def list_rooms_reached(graph: grimp.ImportGraph, package: str, room: str) -> set[str]:
    found = graph.find_upstream_modules(room, as_package=True)
    return {".".join(module.split(".")[:2]) for module in found if module.startswith(f"{package}.")} - {room}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_rooms_that_are_drawn_are_those_that_are_held(package: str) -> None:
    """docs/architecture.md draws the layers of pyproject.toml, line by line."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (held,) = [each["layers"] for each in contracts if each.get("containers") == [package]]
    assert list_drawn(package) == [sorted(layer.split(" | ")) for layer in held]


def list_drawn(package: str) -> list[list[str]]:
    """List the names on each numbered line of a package's drawing; a line goes on below where no number stands."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = page.split(f"### `{package}/`\n\n```\n")[1].split("\n```")[0]
    lines: list[list[str]] = []
    for line in drawing.split("\n"):
        if line[NUMBER:FIRST].strip():
            lines.append([])
        begun = [line[at:] for at in (FIRST, SECOND) if line[at - 2 : at].isspace()]
        lines[-1] += [name[0] for each in begun if (name := re.match("[a-z_]+", each))]
    return [sorted(names) for names in lines]
