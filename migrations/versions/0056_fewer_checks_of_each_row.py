"""A row is checked for what it can break: its tenant by settings read once, and no reference to what is never deleted.

The policies ask for the transaction's settings in subqueries, which are run once for a statement and not for each row.
Entries and legs name accounts, transfers and holds, of which none is ever deleted and which are written with them: that
they are there is a rule of `broker ledger verify`. Answers that are kept for retries are not packed.
"""

from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None

SCOPE, CUSTOMERS = "current_setting(''broker.scope'', true)", "current_setting(''broker.customer_id'', true)"
NAMED = f"string_to_array({CUSTOMERS}, '','')"
# What each policy was, and what it is: the same words, each setting in a subquery of its own.
POLICIES = {
    "own_rows": (
        f"{SCOPE} = ''all'' OR ({SCOPE} = ''tenant'' AND %1$s = {CUSTOMERS})",
        f"(SELECT {SCOPE} = ''all'') OR ((SELECT {SCOPE} = ''tenant'') AND %1$s = (SELECT {CUSTOMERS}))",
    ),
    "rows_of_batch": (
        f"{SCOPE} = ''tenants'' AND %1$s = ANY ({NAMED})",
        f"(SELECT {SCOPE} = ''tenants'') AND %1$s = ANY ((SELECT {NAMED})::text[])",
    ),
}
REFERENCES = {
    "ledger_entries": {
        "transfer_id": "ledger_transfers",
        "debit_account_id": "ledger_accounts",
        "credit_account_id": "ledger_accounts",
    },
    "hold_legs": {"hold_id": "holds", "account_id": "ledger_accounts"},
}


def upgrade() -> None:
    for policy, (_each_row, once) in POLICIES.items():
        _rewrite(policy, once)
    for table, references in REFERENCES.items():
        for column, referred in references.items():
            op.drop_constraint(op.f(f"fk_{table}_{column}_{referred}"), table, type_="foreignkey")
    op.execute("ALTER TABLE idempotency_keys SET (toast_tuple_target = 8160)")


def downgrade() -> None:
    op.execute("ALTER TABLE idempotency_keys RESET (toast_tuple_target)")
    for table, references in REFERENCES.items():
        for column, referred in references.items():
            op.create_foreign_key(op.f(f"fk_{table}_{column}_{referred}"), table, referred, [column], ["id"])
    for policy, (each_row, _once) in POLICIES.items():
        _rewrite(policy, each_row)


def _rewrite(policy: str, condition: str) -> None:
    """Rewrite the condition of every table's policy of this name, on the column that says whose row it is."""
    op.execute(
        f"""
        DO $$ DECLARE isolated record; own text; BEGIN
            FOR isolated IN SELECT p.polrelid::regclass AS name FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
                            WHERE p.polname = '{policy}' AND NOT c.relispartition LOOP
                own := format('{condition}', CASE isolated.name WHEN 'customers'::regclass THEN 'id'
                                                                ELSE 'customer_id' END);
                EXECUTE format('ALTER POLICY {policy} ON %s USING (%s) WITH CHECK (%s)', isolated.name, own, own);
            END LOOP;
        END $$
        """
    )
