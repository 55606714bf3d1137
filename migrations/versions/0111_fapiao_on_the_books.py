"""Fapiao are on the books: accounts and transfers of a customer that are of no contract; those that there are, booked.

An account is one by its customer, too; a transfer may have a customer alone.
"""

from alembic import op

revision = "0111"
down_revision = "0110"
branch_labels = None
depends_on = None

ACCOUNTS, TRANSFERS, ENTRIES = "ledger_accounts", "ledger_transfers", "ledger_entries"
REST = ["unit", "kind", "grant_id", "month", "cause"]
BEFORE, AFTER = ["contract_id", *REST], ["contract_id", "customer_id", *REST]
CHECK, REFERENCE = "ck_ledger_transfers_contract_of_a_customer", "fk_ledger_transfers_contract_id_contracts"
STEPS = """
    CREATE TEMPORARY TABLE steps ON COMMIT DROP AS
    SELECT f.id, f.customer_id, abs(f.amount_micros) AS micros, s.kind, s.credit, s.debit,
           CASE s.kind WHEN 'fapiao_requested' THEN f.created_at ELSE coalesce(f.ended_at, f.created_at) END AS moment,
           'tra_' || split_part(f.id, '_', 2) || s.letter AS transfer_id
    FROM fapiao f JOIN (VALUES
        ('fapiao_requested', 'fapiao_drawn', 'fapiao_requested', 'r'),
        ('fapiao_issued', 'fapiao_requested', 'fapiao_issued', 'i'),
        ('fapiao_cancelled', 'fapiao_requested', 'fapiao_drawn', 'c'),
        ('fapiao_taken_back', 'fapiao_issued', 'fapiao_drawn', 't')) AS s (kind, credit, debit, letter)
    ON s.kind = CASE WHEN f.red_of_id IS NOT NULL THEN 'fapiao_taken_back' ELSE 'fapiao_requested' END
       OR (f.red_of_id IS NULL AND s.kind = 'fapiao_' || f.status)
"""
BOOK = (
    """INSERT INTO ledger_accounts (id, customer_id, unit, kind, may_go_negative, may_go_positive, balance)
       SELECT 'acc_' || md5(customer_id || '/' || kind), customer_id, 'micro_yuan', kind, kind = 'fapiao_drawn',
              kind <> 'fapiao_drawn', sum(micros)
       FROM (SELECT customer_id, debit AS kind, micros FROM steps
             UNION ALL SELECT customer_id, credit, -micros FROM steps) s GROUP BY customer_id, kind""",
    """INSERT INTO ledger_transfers (id, customer_id, kind, reference, created_at)
       SELECT transfer_id, customer_id, kind, id, moment FROM steps""",
    """INSERT INTO ledger_entries (customer_id, transfer_id, debit_account_id, credit_account_id, unit, amount)
       SELECT customer_id, transfer_id, 'acc_' || md5(customer_id || '/' || debit),
              'acc_' || md5(customer_id || '/' || credit), 'micro_yuan', micros
       FROM steps ORDER BY moment, transfer_id""",
)


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    _make_unique(AFTER, instead_of=BEFORE)
    _refer(match=None)
    op.create_check_constraint(op.f(CHECK), TRANSFERS, "contract_id IS NULL OR customer_id IS NOT NULL")
    for statement in (STEPS, *BOOK, "DROP TABLE steps"):
        op.execute(statement)


def _make_unique(columns: list[str], *, instead_of: list[str]) -> None:
    op.drop_constraint(op.f(_name(instead_of)), ACCOUNTS, type_="unique")
    op.create_unique_constraint(op.f(_name(columns)), ACCOUNTS, columns, postgresql_nulls_not_distinct=True)


def _name(columns: list[str]) -> str:
    return f"uq_{ACCOUNTS}_{'_'.join(columns)}"


def _refer(*, match: str | None) -> None:
    op.drop_constraint(op.f(REFERENCE), TRANSFERS, type_="foreignkey")
    columns = ["contract_id", "customer_id"]
    op.create_foreign_key(op.f(REFERENCE), TRANSFERS, "contracts", columns, ["id", "customer_id"], match=match)


def downgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    records = (ENTRIES, TRANSFERS)
    for table in records:
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER refuse_change")
    op.execute(f"DELETE FROM {ENTRIES} WHERE transfer_id IN (SELECT id FROM {TRANSFERS} WHERE kind LIKE 'fapiao_%')")
    op.execute(f"DELETE FROM {TRANSFERS} WHERE kind LIKE 'fapiao_%'")
    op.execute(f"DELETE FROM {ACCOUNTS} WHERE kind LIKE 'fapiao_%'")
    for table in records:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER refuse_change")
    op.drop_constraint(op.f(CHECK), TRANSFERS, type_="check")
    _refer(match="FULL")
    _make_unique(BEFORE, instead_of=AFTER)
