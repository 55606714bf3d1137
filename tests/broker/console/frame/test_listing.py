"""Headers and links of tables, and addresses with one parameter changed."""

import pytest

from broker.console.frame.listing import Column, Listing
from broker.console.frame.page import change_query

COST, NAME = Column("Cost", "cost", is_number=True), Column("Name", "name")


@pytest.mark.parametrize(
    ("sort", "column", "direction", "then"),
    [
        (None, COST, "none", "-cost"),
        ("-cost", COST, "descending", "cost"),
        ("cost", COST, "ascending", "-cost"),
        (None, NAME, "none", "name"),
        ("name", NAME, "ascending", "-name"),
        ("-name", NAME, "descending", "name"),
        ("name", COST, "none", "-cost"),
    ],
)
def test_a_header_sorts_by_its_column_and_then_the_other_way_round(
    sort: str | None, column: Column, direction: str, then: str
) -> None:
    listing = Listing(shown=3, sort=sort)
    assert (listing.direction_of(column), listing.sort_by(column)) == (direction, then)


def test_a_column_without_a_sort_has_no_direction() -> None:
    assert Listing(shown=1, sort="cost").direction_of(Column("Note")) == "none"


def test_an_address_keeps_what_is_not_changed() -> None:
    assert change_query("/console/jobs", "q=tea&cursor=job_1", {"cursor": None, "sort": "-cost"}) == (
        "/console/jobs?q=tea&sort=-cost"
    )
    assert change_query("/console/jobs", "cursor=job_1", {"cursor": None}) == "/console/jobs"
    assert change_query("/console/jobs", "q=%E8%8C%B6", {"q": "茶 & 水"}) == "/console/jobs?q=%E8%8C%B6+%26+%E6%B0%B4"
