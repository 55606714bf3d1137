"""Lost work is borne: captures that correct others, the months that they are of, and where a run wrote checkpoints.

Runs that ended before stay charged as they were: invoices have been made of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)
RATE_TABLES = {"rate_segments": "contract_id", "rate_lines": "job_id"}
SEGMENT = ("unit", "unit_price", "billable")
BORNE = """
    UPDATE jobs SET borne_gpu_seconds = borne.gpu_seconds, borne_tokens = borne.tokens
    FROM (SELECT job_id, coalesce(sum(quantity) FILTER (WHERE unit = 'gpu_seconds'), 0) AS gpu_seconds,
                 coalesce(sum(quantity) FILTER (WHERE unit = 'tokens'), 0) AS tokens
          FROM captures WHERE borne GROUP BY job_id) borne
    WHERE borne.job_id = jobs.id
"""
MARKS = """
    INSERT INTO checkpoint_marks (run_id, sequence, customer_id, step)
    SELECT run_id, sequence, customer_id, checkpoint_step FROM usage_events WHERE checkpoint_step IS NOT NULL
"""


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    let_captures_correct_others()
    for table, owner in RATE_TABLES.items():
        add_used_month(table, owner)
    create_rate_corrections()
    count_what_is_borne()
    create_checkpoint_marks()
    create_lost_work()
    op.add_column("checkpoints", sa.Column("unusable_at", sa.DateTime(timezone=True), nullable=True))
    add_with("runs", sa.Column("bears_lost_work", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.execute("UPDATE runs SET bears_lost_work = false WHERE cause IS NOT NULL")


def add_with(table: str, column: sa.Column) -> None:
    """Add a column whose default is for the rows that there are."""
    op.add_column(table, column)
    op.alter_column(table, column.name, server_default=None)


def let_captures_correct_others() -> None:
    op.execute("ALTER TABLE captures DISABLE TRIGGER refuse_change")
    op.add_column("captures", sa.Column("used_month", sa.String(), nullable=True))
    op.execute("UPDATE captures SET used_month = month")
    op.alter_column("captures", "used_month", nullable=False)
    op.execute("ALTER TABLE captures ENABLE TRIGGER refuse_change")
    correction = sa.ForeignKey("captures.id", name=op.f("fk_captures_corrects_id_captures"))
    op.add_column("captures", sa.Column("corrects_id", sa.BigInteger(), correction, nullable=True))
    op.drop_constraint(op.f("uq_captures_run_id_first_sequence_leg_id"), "captures", type_="unique")
    op.create_index(
        "uq_captures_run_id_first_sequence_leg_id",
        "captures",
        ["run_id", "first_sequence", "leg_id"],
        unique=True,
        postgresql_where=sa.text("corrects_id IS NULL"),
    )
    op.create_index(
        "ix_captures_corrects", "captures", ["corrects_id"], postgresql_where=sa.text("corrects_id IS NOT NULL")
    )
    op.create_check_constraint(
        op.f("ck_captures_only_a_correction_takes_back"), "captures", "quantity > 0 OR corrects_id IS NOT NULL"
    )


def add_used_month(table: str, owner: str) -> None:
    op.add_column(table, sa.Column("used_month", sa.String(), nullable=True))
    op.execute(f"UPDATE {table} SET used_month = month")
    op.alter_column(table, "used_month", nullable=False)
    op.drop_constraint(op.f(f"pk_{table}"), table, type_="primary")
    op.create_primary_key(op.f(f"pk_{table}"), table, [owner, "month", "used_month", *SEGMENT])


def create_rate_corrections() -> None:
    op.create_table(
        "rate_corrections",
        sa.Column("id", sa.BigInteger(), autoincrement=True, primary_key=True),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("contract_id", sa.String(), sa.ForeignKey("contracts.id"), nullable=False),
        *[sa.Column(name, sa.String(), nullable=False) for name in ("job_id", "month", "corrected_month")],
        *[sa.Column(name, sa.String(), nullable=False) for name in ("used_month", "unit")],
        sa.Column("unit_price", sa.Numeric(precision=24, scale=12), nullable=False),
        sa.Column("billable", sa.Boolean(), nullable=False),
        sa.Column("rate_card_version", sa.String(), nullable=False),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in ("quantity", "amount_micros")],
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("quantity > 0 AND amount_micros >= 0", name=op.f("ck_rate_corrections_takes_back")),
    )
    op.create_index("ix_rate_corrections_contract_month", "rate_corrections", ["contract_id", "month"])
    op.create_index(op.f("ix_rate_corrections_job_id"), "rate_corrections", ["job_id"])
    make_a_record("rate_corrections")
    op.execute(f"GRANT USAGE ON SEQUENCE rate_corrections_id_seq TO {APP_ROLE}")


def count_what_is_borne() -> None:
    for name in ("borne_gpu_seconds", "borne_tokens"):
        add_with("jobs", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(BORNE)


def create_checkpoint_marks() -> None:
    op.create_table(
        "checkpoint_marks",
        sa.Column("run_id", sa.String(), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
    )
    op.execute(MARKS)
    make_a_record("checkpoint_marks")


def create_lost_work() -> None:
    op.create_table(
        "lost_work",
        sa.Column("id", sa.BigInteger(), autoincrement=True, primary_key=True),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id"), nullable=False),
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("run_id", sa.String(), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("after_step", sa.BigInteger(), nullable=True),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in ("gpu_seconds", "tokens")],
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index(op.f("ix_lost_work_job_id"), "lost_work", ["job_id"])
    make_a_record("lost_work")
    op.execute(f"GRANT USAGE ON SEQUENCE lost_work_id_seq TO {APP_ROLE}")


def make_a_record(table: str) -> None:
    """Make a table one of tenants' rows that are never changed."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"GRANT SELECT, INSERT ON {table} TO {APP_ROLE}")
    op.execute(
        f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    """Go back to captures that correct none; refused once there is one: an older release would not add them up."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        """DO $$ BEGIN IF EXISTS (SELECT FROM captures WHERE corrects_id IS NOT NULL OR used_month <> month) THEN
               RAISE EXCEPTION 'captures correct others, or are of another month, which an older release cannot read';
           END IF; END $$"""
    )
    op.drop_column("runs", "bears_lost_work")
    op.drop_column("checkpoints", "unusable_at")
    op.drop_table("lost_work")
    op.drop_table("checkpoint_marks")
    op.drop_column("jobs", "borne_tokens")
    op.drop_column("jobs", "borne_gpu_seconds")
    op.drop_table("rate_corrections")
    for table, owner in RATE_TABLES.items():
        op.drop_constraint(op.f(f"pk_{table}"), table, type_="primary")
        op.drop_column(table, "used_month")
        op.create_primary_key(op.f(f"pk_{table}"), table, [owner, "month", *SEGMENT])
    op.drop_constraint(op.f("ck_captures_only_a_correction_takes_back"), "captures", type_="check")
    op.drop_index("ix_captures_corrects", "captures")
    op.drop_index("uq_captures_run_id_first_sequence_leg_id", "captures")
    op.drop_column("captures", "corrects_id")
    op.drop_column("captures", "used_month")
    op.create_unique_constraint(
        op.f("uq_captures_run_id_first_sequence_leg_id"), "captures", ["run_id", "first_sequence", "leg_id"]
    )
