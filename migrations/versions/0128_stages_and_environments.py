"""Adapters are promoted to stages, which environments serve; and tell which data they were trained on.

What is current of a name at a stage is one row (`adapter_stages`); how it became so is a record that nobody changes
(`adapter_promotions`). An environment without a customer is the house's, and serves all customers.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0128"
down_revision = "0127"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
IS_TENANT = "(SELECT current_setting('broker.scope', true) = 'tenant')"
OWN_ROWS = (
    "(SELECT current_setting('broker.scope', true) = 'all') OR ((SELECT current_setting('broker.scope', true) ="
    " 'tenant') AND customer_id = (SELECT current_setting('broker.customer_id', true)))"
)
ROWS_OF_BATCH = (
    "(SELECT current_setting('broker.scope', true) = 'tenants') AND customer_id = ANY"
    " ((SELECT string_to_array(current_setting('broker.customer_id', true), ','))::text[])"
)
RIGHTS = {
    "adapter_promotions": "SELECT, INSERT",
    "adapter_stages": "SELECT, INSERT, UPDATE",
    "environments": "SELECT, INSERT, UPDATE",
    "environment_pushes": "SELECT, INSERT, UPDATE, DELETE",
}


def upgrade() -> None:
    op.add_column("adapters", sa.Column("dataset_id", sa.String(), nullable=True))
    op.add_column("adapters", sa.Column("dataset_sha256", sa.String(), nullable=True))
    op.add_column("adapters", sa.Column("tags", ARRAY(sa.Text()), server_default="{}", nullable=False))
    op.execute(
        "UPDATE adapters a SET dataset_id = j.dataset_id, dataset_sha256 = d.sha256"
        " FROM jobs j LEFT JOIN datasets d ON d.id = j.dataset_id WHERE j.id = a.job_id"
    )
    create_tables()
    for table, rights in RIGHTS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
        op.execute(f"CREATE POLICY rows_of_batch ON {table} USING ({ROWS_OF_BATCH}) WITH CHECK ({ROWS_OF_BATCH})")
        op.execute(f"GRANT {rights} ON {table} TO {APP_ROLE}")
    shared = f"CREATE POLICY shared_environments ON environments FOR SELECT USING ({IS_TENANT} AND customer_id IS NULL)"
    op.execute(shared)
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON adapter_promotions"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    note_promotions()


def note_promotions() -> None:
    """Note for webhooks that an adapter was promoted, with the record of it."""
    op.execute(
        "CREATE FUNCTION note_adapter_promotions_for_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO webhook_outbox (customer_id, source, kind, object_id, data, happened_at)"
        " SELECT n.customer_id, 'adapter', 'promoted', n.adapter_id, jsonb_build_object('job_id', a.job_id,"
        " 'name', n.name, 'version', a.version, 'stage', n.stage, 'promotion_id', n.id), n.created_at"
        " FROM written n JOIN adapters a ON a.id = n.adapter_id WHERE EXISTS"
        " (SELECT FROM webhook_endpoints e WHERE e.customer_id = n.customer_id AND e.removed_at IS NULL"
        " AND 'adapter:promoted' = ANY (e.records)); RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER note_for_webhooks AFTER INSERT ON adapter_promotions REFERENCING NEW TABLE AS written"
        " FOR EACH STATEMENT EXECUTE FUNCTION note_adapter_promotions_for_webhooks()"
    )


def moment(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def word(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.String(), nullable=nullable)


def refer(table: str, column: str, to: str) -> "sa.ForeignKeyConstraint":
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}_{to}"))


def create_tables() -> None:
    op.create_table(
        "adapter_promotions",
        word("id"),
        word("customer_id"),
        word("project_id", nullable=True),
        word("name"),
        word("stage"),
        word("adapter_id", nullable=True),
        word("before_id", nullable=True),
        word("undoes", nullable=True),
        word("reason", nullable=True),
        word("actor_role"),
        word("actor_id"),
        moment("created_at"),
        refer("adapter_promotions", "customer_id", "customers"),
        refer("adapter_promotions", "project_id", "projects"),
        refer("adapter_promotions", "adapter_id", "adapters"),
        refer("adapter_promotions", "before_id", "adapters"),
        refer("adapter_promotions", "undoes", "adapter_promotions"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adapter_promotions")),
    )
    op.create_index("ix_adapter_promotions_of_name", "adapter_promotions", ["customer_id", "name", "stage", "id"])
    op.create_table(
        "adapter_stages",
        word("id"),
        word("customer_id"),
        word("name"),
        word("stage"),
        word("project_id", nullable=True),
        word("adapter_id", nullable=True),
        word("promotion_id"),
        moment("changed_at"),
        refer("adapter_stages", "customer_id", "customers"),
        refer("adapter_stages", "project_id", "projects"),
        refer("adapter_stages", "adapter_id", "adapters"),
        refer("adapter_stages", "promotion_id", "adapter_promotions"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adapter_stages")),
        sa.UniqueConstraint("customer_id", "name", "stage", name=op.f("uq_adapter_stages_customer_id_name_stage")),
    )
    op.create_index(op.f("ix_adapter_stages_adapter_id"), "adapter_stages", ["adapter_id"])
    op.create_table(
        "environments",
        word("id"),
        word("customer_id", nullable=True),
        word("project_id", nullable=True),
        word("name"),
        word("stage"),
        word("kind"),
        word("url"),
        word("serves_as"),
        sa.Column("options", JSONB(), nullable=False),
        word("token", nullable=True),
        sa.Column("is_of_staff", sa.Boolean(), nullable=False),
        word("status"),
        moment("looked_at", nullable=True),
        moment("answered_at", nullable=True),
        word("error", nullable=True),
        moment("created_at"),
        moment("removed_at", nullable=True),
        refer("environments", "customer_id", "customers"),
        refer("environments", "project_id", "projects"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_environments")),
    )
    op.create_index(op.f("ix_environments_customer_id"), "environments", ["customer_id"])
    op.create_table(
        "environment_pushes",
        word("id"),
        word("customer_id"),
        word("project_id", nullable=True),
        word("environment_id"),
        word("environment_name"),
        word("name"),
        word("stage"),
        word("adapter_id", nullable=True),
        word("live_adapter_id", nullable=True),
        word("served_as", nullable=True),
        sa.Column("held", ARRAY(sa.Text()), nullable=False),
        word("state"),
        word("error", nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        moment("not_before"),
        moment("leased_until", nullable=True),
        moment("live_at", nullable=True),
        moment("changed_at"),
        moment("created_at"),
        refer("environment_pushes", "customer_id", "customers"),
        refer("environment_pushes", "project_id", "projects"),
        refer("environment_pushes", "environment_id", "environments"),
        refer("environment_pushes", "adapter_id", "adapters"),
        refer("environment_pushes", "live_adapter_id", "adapters"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_environment_pushes")),
        sa.UniqueConstraint(
            "environment_id", "customer_id", "name", name=op.f("uq_environment_pushes_environment_id_customer_id_name")
        ),
    )
    op.create_index(
        "ix_environment_pushes_due",
        "environment_pushes",
        ["not_before"],
        postgresql_where=sa.text("state IN ('pushing', 'failed')"),
    )
    op.create_index(op.f("ix_environment_pushes_customer_id"), "environment_pushes", ["customer_id"])


def downgrade() -> None:
    op.execute("DELETE FROM webhook_outbox WHERE kind = 'promoted'")
    op.execute("DROP TRIGGER note_for_webhooks ON adapter_promotions")
    op.execute("DROP FUNCTION note_adapter_promotions_for_webhooks()")
    for table in ("environment_pushes", "environments", "adapter_stages", "adapter_promotions"):
        op.drop_table(table)
    for column in ("tags", "dataset_sha256", "dataset_id"):
        op.drop_column("adapters", column)
