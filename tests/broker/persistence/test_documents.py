"""JSON within rows: what cannot be read stops no statement, and no number has fewer than 64 bits."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Integer, Text, cast, literal, select
from sqlalchemy.dialects.postgresql import JSONB

import broker
from broker.persistence.database import Base
from broker.persistence.documents import (
    Document,
    Unreadable,
    UnreadableDocument,
    explain_unreadable,
    json_integer,
    keep_readable,
)
from broker.processes.boot import DatabaseUrls
from broker.system import System
from tests.broker.rows import owner_connection

NARROW_SQL = re.compile(r"::\s*(int|integer|int2|int4|smallint)\b|\bAS\s+(INT|INTEGER|SMALLINT|INT4)\b", re.IGNORECASE)
NARROW_NAMES = {"Integer", "SmallInteger", "INTEGER", "SMALLINT", "as_integer"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("7", 7),
        ("2239844740", 2_239_844_740),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", None),
        ("1e400", None),
        ("-1e30", None),
        ('"7"', None),
        ('"many"', None),
        ("null", None),
        ("true", None),
        ("[7]", None),
        ("{}", None),
    ],
)
async def test_number_of_a_document_has_64_bits_and_what_is_none_is_null(
    system: System, written: str, read: int | None
) -> None:
    """A past fault: a cast to 32 bits of one job's number ended every scheduling cycle."""
    document = cast(literal(f'{{"n": {written}}}', Text), JSONB)
    async with system.work() as work:
        assert await work.session.scalar(select(json_integer(document["n"]))) == read


async def test_number_that_is_not_there_is_null(system: System) -> None:
    async with system.work() as work:
        assert await work.session.scalar(select(json_integer(cast(literal("{}", Text), JSONB)["a"]["b"]))) is None


def test_value_that_cannot_be_read_is_an_error_where_it_is_used_and_not_where_it_is_fetched() -> None:
    kept = Document(str, int)
    fetched = [kept.process_result_value(written, None) for written in ("7", "many", None)]  # type: ignore[arg-type]
    assert (fetched[0], fetched[2]) == (7, None)
    broken = fetched[1]
    assert isinstance(broken, Unreadable)
    assert [keep_readable(value) for value in fetched] == [7, None, None]
    assert [explain_unreadable(value) is None for value in fetched] == [True, False, True]
    with pytest.raises(UnreadableDocument, match="invalid literal"):
        broken.gpu_seconds.p50  # noqa: B018
    with pytest.raises(UnreadableDocument, match="invalid literal"):
        list(broken)


def test_no_column_has_fewer_than_64_bits(urls: DatabaseUrls) -> None:
    columns = [column for table in Base.metadata.tables.values() for column in table.columns]
    assert [str(each) for each in columns if isinstance(each.type, Integer) and type(each.type) is not BigInteger] == []
    narrow = """
        SELECT table_name || '.' || column_name AS name FROM information_schema.columns
        WHERE table_schema = 'public' AND data_type IN ('integer', 'smallint', 'real')
    """
    with owner_connection(urls) as connection:
        assert [row["name"] for row in connection.execute(narrow)] == []


def find_narrow_casts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NARROW_SQL.search(node.value):
            yield node.value
        elif isinstance(node, ast.Attribute | ast.Name | ast.alias):
            name = (
                node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else node.name
            )
            if name in NARROW_NAMES:
                yield name


def test_no_statement_casts_to_fewer_than_64_bits() -> None:
    """Numbers within JSON are read by `json_integer`, which is the one cast of them."""
    files = sorted(Path(broker.__file__).parent.rglob("*.py"))
    assert len(files) > 100
    assert list(find_narrow_casts(ast.parse('Job.data["n"].as_integer(), text("SELECT x::int")'))) != []
    found = {str(path): list(find_narrow_casts(ast.parse(path.read_text()))) for path in files}
    assert {path: casts for path, casts in found.items() if casts} == {}
