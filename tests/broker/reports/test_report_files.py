"""Reports as files: a head in Chinese for every column of each."""

from broker.reports import margin_schemas, plan_advice_schemas, pool_margin_schemas, receivables_schemas
from broker.reports.commitments.schemas import CommitmentRowOut, EndingGrantOut
from broker.reports.costs import schemas as costs
from broker.reports.heads import HEADS
from broker.reports.journal_schemas import JournalLineOut
from broker.reports.revenue import schemas as revenue

TABLES = {
    "costs": costs.COLUMNS,
    "revenue": revenue.COLUMNS,
    "waterfall": revenue.WATERFALL,
    "commitments": tuple(CommitmentRowOut.model_fields),
    "grants": tuple(EndingGrantOut.model_fields),
    "margin": margin_schemas.COLUMNS,
    "pools": pool_margin_schemas.COLUMNS,
    "advice": plan_advice_schemas.COLUMNS,
    "receivables": receivables_schemas.COLUMNS,
    "journal": tuple(JournalLineOut.model_fields),
}


def test_every_column_has_a_head_in_chinese() -> None:
    assert {name: set(columns) - HEADS.keys() for name, columns in TABLES.items() if set(columns) - HEADS.keys()} == {}


def test_no_head_is_of_no_column() -> None:
    assert HEADS.keys() - {column for columns in TABLES.values() for column in columns} == set()


def test_heads_of_one_table_differ() -> None:
    for name, columns in TABLES.items():
        heads = [HEADS[column] for column in columns]
        assert len(set(heads)) == len(heads), name
