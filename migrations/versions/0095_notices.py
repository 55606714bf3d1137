"""Notices: whom customers want told, what was composed for each of them, and of what that was done."""

import sqlalchemy as sa
from alembic import op

revision = "0095"
down_revision = "0094"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "(SELECT current_setting('broker.scope', true) = 'all') OR ((SELECT current_setting('broker.scope', true) ="
    " 'tenant') AND customer_id = (SELECT current_setting('broker.customer_id', true)))"
)
ROWS_OF_BATCH = (
    "(SELECT current_setting('broker.scope', true) = 'tenants') AND customer_id = ANY"
    " ((SELECT string_to_array(current_setting('broker.customer_id', true), ','))::text[])"
)


def upgrade() -> None:
    create_contacts()
    create_notices()
    create_noticed()
    for table in ("notice_contacts", "notices", "noticed"):
        rights = "SELECT, INSERT" if table == "noticed" else "SELECT, INSERT, UPDATE"
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
        op.execute(f"CREATE POLICY rows_of_batch ON {table} USING ({ROWS_OF_BATCH}) WITH CHECK ({ROWS_OF_BATCH})")
        op.execute(f"GRANT {rights} ON {table} TO {APP_ROLE}")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON noticed"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.create_index("ix_contract_events_created_at", "contract_events", ["created_at"])
    op.create_index("ix_invoices_finalized_at", "invoices", ["finalized_at"])


def moment(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def create_contacts() -> None:
    op.create_table(
        "notice_contacts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("shown", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        moment("created_at"),
        moment("removed_at", nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_notice_contacts_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice_contacts")),
    )
    op.create_index(op.f("ix_notice_contacts_customer_id"), "notice_contacts", ["customer_id"])


def create_notices() -> None:
    op.create_table(
        "notices",
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in (
                "id",
                "customer_id",
                "contract_id",
                "contact_id",
                "event_id",
                "kind",
                "language",
                "title",
                "body",
                "status",
            )
        ),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        moment("not_before"),
        moment("created_at"),
        moment("sent_at", nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_notices_customer_id_customers")),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_notices_contract_id_contracts")),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["notice_contacts.id"], name=op.f("fk_notices_contact_id_notice_contacts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sa.UniqueConstraint("event_id", "contact_id", name=op.f("uq_notices_event_id_contact_id")),
    )
    op.create_index(op.f("ix_notices_customer_id"), "notices", ["customer_id"])
    op.create_index("ix_notices_due", "notices", ["not_before"], postgresql_where=sa.text("status = 'pending'"))


def create_noticed() -> None:
    op.create_table(
        "noticed",
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        moment("created_at"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_noticed_customer_id_customers")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_noticed")),
    )


def downgrade() -> None:
    op.drop_index("ix_invoices_finalized_at", "invoices")
    op.drop_index("ix_contract_events_created_at", "contract_events")
    for table in ("noticed", "notices", "notice_contacts"):
        op.drop_table(table)
