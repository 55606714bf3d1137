"""Captures of many intervals with the cause of what is borne; sums by price; usage over a budget is booked no more.

What was booked beyond a budget stays billed: it came from a source of its own, `over_budget`, and now comes from that
of budgets.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
SEES_ALL = "current_setting('broker.scope', true) = 'all'"
IS_OWN = (
    "current_setting('broker.scope', true) = 'tenant' AND customer_id = current_setting('broker.customer_id', true)"
)
RECORDS = ("captures", "ledger_entries")
# Of each contract: the source that usage over a budget came from, and the source of its budgets.
OVER_BUDGET = """(SELECT o.id AS over_id, b.id AS budget_id, o.balance FROM ledger_accounts o
    JOIN ledger_accounts b ON b.contract_id = o.contract_id AND b.kind = 'budget_issued'
    WHERE o.kind = 'over_budget')"""


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    switch_record_triggers("DISABLE")
    cover_intervals()
    book_over_budget_from_the_budgets_source()
    switch_record_triggers("ENABLE")
    op.add_column("hold_legs", sa.Column("extends", sa.Boolean(), nullable=False, server_default=sa.false()))
    tell_placed_legs_from_later_ones()
    op.alter_column("hold_legs", "extends", server_default=None)
    op.create_index("ix_holds_placed_contract", "holds", ["contract_id"], postgresql_where=sa.text("state = 'placed'"))
    create_rate_segments()
    create_rate_lines()
    add_up_captures()


def tell_placed_legs_from_later_ones() -> None:
    """Mark every leg but those that were placed with the hold: the first of each account that was placed from."""
    op.execute(
        """UPDATE hold_legs l SET extends = true FROM (
               SELECT id, row_number() OVER (PARTITION BY hold_id, account_id ORDER BY position) AS nth FROM hold_legs
           ) o
           WHERE o.id = l.id AND (o.nth > 1 OR NOT EXISTS (
               SELECT FROM ledger_transfers t JOIN ledger_entries e ON e.transfer_id = t.id
               WHERE t.hold_id = l.hold_id AND t.kind = 'hold_placed' AND e.account_id = l.account_id))"""
    )


def switch_record_triggers(state: str) -> None:
    for table in RECORDS:
        op.execute(f"ALTER TABLE {table} {state} TRIGGER refuse_change")


def cover_intervals() -> None:
    op.drop_constraint(op.f("uq_captures_run_id_sequence_leg_id"), "captures", type_="unique")
    op.alter_column("captures", "sequence", new_column_name="first_sequence")
    op.add_column("captures", sa.Column("last_sequence", sa.BigInteger(), nullable=True))
    op.add_column("captures", sa.Column("cause", sa.String(), nullable=True))
    op.execute("UPDATE captures SET last_sequence = first_sequence, cause = CASE WHEN borne THEN 'over_promise' END")
    op.alter_column("captures", "last_sequence", nullable=False)
    op.create_unique_constraint(
        op.f("uq_captures_run_id_first_sequence_leg_id"), "captures", ["run_id", "first_sequence", "leg_id"]
    )
    op.create_check_constraint(op.f("ck_captures_sequences_in_order"), "captures", "first_sequence <= last_sequence")
    op.create_check_constraint(op.f("ck_captures_borne_for_a_cause"), "captures", "borne = (cause IS NOT NULL)")


def book_over_budget_from_the_budgets_source() -> None:
    """Put the source of budgets in the place of `over_budget`: in entries, legs and balances."""
    for table in ("ledger_entries", "hold_legs"):
        op.execute(f"UPDATE {table} t SET account_id = x.budget_id FROM {OVER_BUDGET} x WHERE t.account_id = x.over_id")
    op.execute(
        f"UPDATE ledger_accounts a SET balance = a.balance + x.balance FROM {OVER_BUDGET} x WHERE a.id = x.budget_id"
    )
    op.execute("DELETE FROM ledger_accounts WHERE kind = 'over_budget'")


def create_rate_segments() -> None:
    op.create_table(
        "rate_segments",
        sa.Column("contract_id", sa.String(), sa.ForeignKey("contracts.id"), primary_key=True),
        sa.Column("month", sa.String(), primary_key=True),
        sa.Column("unit", sa.String(), primary_key=True),
        sa.Column("unit_price", sa.Numeric(precision=24, scale=12), primary_key=True),
        sa.Column("billable", sa.Boolean(), primary_key=True),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
    )
    isolate("rate_segments")


def create_rate_lines() -> None:
    op.create_table(
        "rate_lines",
        sa.Column("job_id", sa.String(), primary_key=True),
        sa.Column("month", sa.String(), primary_key=True),
        sa.Column("unit", sa.String(), primary_key=True),
        sa.Column("unit_price", sa.Numeric(precision=24, scale=12), primary_key=True),
        sa.Column("billable", sa.Boolean(), primary_key=True),
        sa.Column("contract_id", sa.String(), sa.ForeignKey("contracts.id"), nullable=False),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("rate_card_version", sa.String(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("leads", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_rate_lines_contract_month", "rate_lines", ["contract_id", "month"])
    isolate("rate_lines")


def isolate(table: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    mine = f"{SEES_ALL} OR ({IS_OWN})"
    op.execute(f"CREATE POLICY own_rows ON {table} USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {APP_ROLE}")


def add_up_captures() -> None:
    """Add up what customers pay for. The only line of a segment leads it, as it will where it is the first."""
    op.execute(
        """INSERT INTO rate_segments (contract_id, month, unit, unit_price, billable, customer_id, quantity)
           SELECT contract_id, month, unit, unit_price, billable, min(customer_id), sum(quantity)
           FROM captures WHERE NOT borne GROUP BY 1, 2, 3, 4, 5"""
    )
    op.execute(
        """INSERT INTO rate_lines (job_id, month, unit, unit_price, billable, contract_id, customer_id,
                                   rate_card_version, quantity, leads)
           SELECT c.job_id, c.month, c.unit, c.unit_price, c.billable, c.contract_id, min(c.customer_id),
                  min(c.rate_card_version), sum(c.quantity),
                  count(*) OVER (PARTITION BY c.contract_id, c.month, c.unit, c.unit_price, c.billable) = 1
                  AND bool_or(num_nonnulls(j.cap_micros, j.limit_micros, j.limit_gpu_seconds) > 0)
           FROM captures c LEFT JOIN jobs j ON j.id = c.job_id
           WHERE NOT c.borne GROUP BY 1, 2, 3, 4, 5, 6"""
    )


def downgrade() -> None:
    """Go back to one capture for each interval; refused once a capture covers several: their shares are not known."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        """DO $$ BEGIN IF EXISTS (SELECT FROM captures WHERE first_sequence < last_sequence) THEN
               RAISE EXCEPTION 'captures cover several intervals, which an older release cannot read';
           END IF; END $$"""
    )
    op.drop_table("rate_lines")
    op.drop_table("rate_segments")
    op.drop_index("ix_holds_placed_contract", table_name="holds")
    op.drop_column("hold_legs", "extends")
    switch_record_triggers("DISABLE")
    give_over_budget_its_own_source()
    switch_record_triggers("ENABLE")
    op.drop_constraint(op.f("ck_captures_borne_for_a_cause"), "captures", type_="check")
    op.drop_constraint(op.f("ck_captures_sequences_in_order"), "captures", type_="check")
    op.drop_constraint(op.f("uq_captures_run_id_first_sequence_leg_id"), "captures", type_="unique")
    op.drop_column("captures", "cause")
    op.drop_column("captures", "last_sequence")
    op.alter_column("captures", "first_sequence", new_column_name="sequence")
    op.create_unique_constraint(
        op.f("uq_captures_run_id_sequence_leg_id"), "captures", ["run_id", "sequence", "leg_id"]
    )


def give_over_budget_its_own_source() -> None:
    """Part the two sources again: legs draw on that of budgets only where usage went over one."""
    op.execute(
        """INSERT INTO ledger_accounts (id, customer_id, contract_id, unit, kind, may_go_negative, balance)
           SELECT 'acc_' || md5(a.id), a.customer_id, a.contract_id, a.unit, 'over_budget', true, 0
           FROM ledger_accounts a WHERE a.kind = 'budget_issued'
             AND EXISTS (SELECT FROM hold_legs l WHERE l.account_id = a.id)"""
    )
    op.execute(
        f"""UPDATE ledger_entries e SET account_id = x.over_id FROM {OVER_BUDGET} x, ledger_transfers t
            WHERE e.account_id = x.budget_id AND t.id = e.transfer_id AND t.kind <> 'budget_opened'"""
    )
    op.execute(f"UPDATE hold_legs l SET account_id = x.over_id FROM {OVER_BUDGET} x WHERE l.account_id = x.budget_id")
    op.execute(
        f"""UPDATE ledger_accounts a
            SET balance = (SELECT coalesce(sum(e.amount), 0) FROM ledger_entries e WHERE e.account_id = a.id)
            FROM {OVER_BUDGET} x WHERE a.id IN (x.over_id, x.budget_id)"""
    )
