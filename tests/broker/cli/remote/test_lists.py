"""Lists are JSON for programs and a table for people, by one function for all of them."""

import json

import pytest

from broker.cli.remote.lists import collect_page, write_table, write_table_with_notes
from broker.cli.texts.columns import Column
from broker.client.objects.values import Page

COLUMNS = (Column("name"), Column("count", right=True))
PAGE: Page[tuple[str, int]] = {"data": [("tea", 7), ("coffee", 12)], "next_cursor": "x"}


def make_row(item: tuple[str, int]) -> list[str]:
    return [item[0], str(item[1])]


def test_program_gets_the_page_as_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(PAGE, COLUMNS, make_row, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"data": [["tea", 7], ["coffee", 12]], "next_cursor": "x"}


def test_people_get_a_table_and_its_headings_where_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(PAGE, COLUMNS, make_row, as_json=False)
    assert capsys.readouterr().out.splitlines() == ["name    count", "tea         7", "coffee     12"]
    write_table(collect_page([]), COLUMNS, make_row, as_json=False)
    assert capsys.readouterr().out.splitlines() == ["name  count"]


def test_note_stands_below_its_row_and_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    notes = {"tea": "", "coffee": "from far away"}
    write_table_with_notes(PAGE, COLUMNS, make_row, lambda item: notes[item[0]], width=10, as_json=False)
    assert capsys.readouterr().out.splitlines() == ["name    count", "tea      …", "coffee   …", "  from far away"]
