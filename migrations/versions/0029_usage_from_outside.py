"""Usage comes from outside of runs, too: sources are registered, and have a stream under each contract of theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)
OF_RUNS = ("job_id", "run_id", "sequence")


def upgrade() -> None:
    create_sources()
    create_streams()
    for name in OF_RUNS:
        op.alter_column("quarantined_usage", name, nullable=True)


def isolate(table: str, rights: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"GRANT {rights} ON {table} TO {APP_ROLE}")


def moment(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def create_sources() -> None:
    op.create_table(
        "usage_sources",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("open", sa.Boolean(), nullable=False),
        moment("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_sources")),
        sa.UniqueConstraint("source", name=op.f("uq_usage_sources_source")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_usage_sources_customer_id_customers")),
    )
    isolate("usage_sources", "SELECT, INSERT, UPDATE")


def create_streams() -> None:
    op.create_table(
        "usage_streams",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("contract_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=True),
        sa.Column("gpu_type", sa.String(), nullable=True),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        moment("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_streams")),
        sa.UniqueConstraint(
            "contract_id",
            "source",
            "project_id",
            "gpu_type",
            name=op.f("uq_usage_streams_contract_id_source_project_id_gpu_type"),
            postgresql_nulls_not_distinct=True,
        ),
        *[
            sa.ForeignKeyConstraint(
                [f"{owner}_id"], [f"{owner}s.id"], name=op.f(f"fk_usage_streams_{owner}_id_{owner}s")
            )
            for owner in ("customer", "contract", "project")
        ],
    )
    isolate("usage_streams", "SELECT, INSERT, UPDATE")


def downgrade() -> None:
    """Go back to usage of runs alone; refused once there is other."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        """DO $$ BEGIN IF EXISTS (SELECT FROM usage_streams) THEN
               RAISE EXCEPTION 'usage came from outside, which an older release cannot keep';
           END IF; END $$"""
    )
    for name in OF_RUNS:
        op.alter_column("quarantined_usage", name, nullable=False)
    op.drop_table("usage_streams")
    op.drop_table("usage_sources")
