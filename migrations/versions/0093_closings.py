"""Months are closed for the whole installation: money has a day of booking, and a closed month takes no more of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0093"
down_revision = "0092"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
# Who books money shares this turn until its commit, and who closes a month has it alone (`books/periods.py`).
PERIOD_TURN = 7_203_121


def upgrade() -> None:
    op.add_column("ledger_transfers", sa.Column("booked_on", sa.Date(), nullable=True))
    op.create_index(
        "ix_ledger_transfers_booked_on", "ledger_transfers", ["booked_on"], postgresql_where="booked_on IS NOT NULL"
    )
    create_periods()
    create_closings()
    create_charts()
    for table, rights in (
        ("closed_periods", "SELECT, INSERT"),
        ("closings", "SELECT, INSERT, UPDATE"),
        ("charts_of_accounts", "SELECT, INSERT"),
    ):
        op.execute(f"GRANT {rights} ON {table} TO {APP_ROLE}")
    for table in ("closed_periods", "charts_of_accounts"):
        op.execute(
            f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    refuse_closed_periods()


def create_periods() -> None:
    op.create_table(
        "closed_periods",
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("closed_by", sa.String(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_closed_periods")),
    )


def create_closings() -> None:
    op.create_table(
        "closings",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("accepted", postgresql.JSONB(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("contracts_total", sa.BigInteger(), nullable=False),
        sa.Column("contracts_done", sa.BigInteger(), nullable=False),
        sa.Column("invoices_finalized", sa.BigInteger(), nullable=False),
        sa.Column("last_contract_id", sa.String(), nullable=False),
        sa.Column("refused", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_closings")),
    )
    op.create_index("ix_closings_month", "closings", ["month"])
    op.create_index("uq_closings_running", "closings", ["month"], unique=True, postgresql_where="status = 'running'")


def create_charts() -> None:
    op.create_table(
        "charts_of_accounts",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("accounts", postgresql.JSONB(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_charts_of_accounts")),
    )


def refuse_closed_periods() -> None:
    op.execute(
        f"""
        CREATE FUNCTION refuse_closed_period() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock_shared({PERIOD_TURN});
            IF EXISTS (SELECT FROM closed_periods WHERE month >= to_char(NEW.booked_on, 'YYYY-MM')) THEN
                RAISE EXCEPTION 'the books of % are closed', to_char(NEW.booked_on, 'YYYY-MM')
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'period_is_open';
            END IF;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER refuse_closed_period BEFORE INSERT ON ledger_transfers FOR EACH ROW"
        " WHEN (NEW.booked_on IS NOT NULL) EXECUTE FUNCTION refuse_closed_period()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER refuse_closed_period ON ledger_transfers")
    op.execute("DROP FUNCTION refuse_closed_period()")
    for table in ("charts_of_accounts", "closings", "closed_periods"):
        op.drop_table(table)
    op.drop_index("ix_ledger_transfers_booked_on", "ledger_transfers")
    op.drop_column("ledger_transfers", "booked_on")
