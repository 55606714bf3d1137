"""Credit notes against final invoices, and manual adjustments: records, each with reason and author."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
OWN_ROWS = (
    "current_setting('broker.scope', true) = 'all' OR"
    " (current_setting('broker.scope', true) = 'tenant'"
    " AND customer_id = current_setting('broker.customer_id', true))"
)
RECORDS = ("credit_notes", "credit_note_lines", "adjustments")


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.add_column("invoice_numbers", sa.Column("series", sa.String(), nullable=False, server_default="INV"))
    op.alter_column("invoice_numbers", "series", server_default=None)
    op.drop_constraint(op.f("pk_invoice_numbers"), "invoice_numbers", type_="primary")
    op.create_primary_key(op.f("pk_invoice_numbers"), "invoice_numbers", ["series", "year"])
    create_credit_notes()
    create_credit_note_lines()
    create_adjustments()
    for table in RECORDS:
        keep_record(table)
    op.execute(f"GRANT USAGE ON SEQUENCE credit_note_lines_id_seq TO {APP_ROLE}")


def create_credit_notes() -> None:
    op.create_table(
        "credit_notes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        refer("customer"),
        refer("contract"),
        refer("invoice"),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("total_micros", sa.BigInteger(), nullable=False),
        sa.Column("tax_micros", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *point_at("credit_notes", "customer", "contract", "invoice"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_notes")),
        sa.UniqueConstraint("number", name=op.f("uq_credit_notes_number")),
    )
    for column in ("customer_id", "invoice_id"):
        op.create_index(op.f(f"ix_credit_notes_{column}"), "credit_notes", [column], unique=False)


def create_credit_note_lines() -> None:
    op.create_table(
        "credit_note_lines",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        refer("customer"),
        refer("credit_note"),
        sa.Column("invoice_line_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_micros > 0", name=op.f("ck_credit_note_lines_takes_back")),
        *point_at("credit_note_lines", "customer", "credit_note", "invoice_line"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_note_lines")),
        sa.UniqueConstraint("credit_note_id", "position", name=op.f("uq_credit_note_lines_credit_note_id_position")),
    )
    op.create_index(
        op.f("ix_credit_note_lines_invoice_line_id"), "credit_note_lines", ["invoice_line_id"], unique=False
    )


def create_adjustments() -> None:
    op.create_table(
        "adjustments",
        sa.Column("id", sa.String(), nullable=False),
        refer("customer"),
        refer("contract"),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("grant_id", sa.String(), nullable=True),
        sa.Column("invoice_id", sa.String(), nullable=True),
        sa.Column("unit", sa.String(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("quantity <> 0", name=op.f("ck_adjustments_changes_something")),
        *point_at("adjustments", "customer", "contract", "grant", "invoice"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adjustments")),
    )
    op.create_index(op.f("ix_adjustments_customer_id"), "adjustments", ["customer_id"], unique=False)


def refer(owner: str) -> sa.Column[str]:
    return sa.Column(f"{owner}_id", sa.String(), nullable=False)


def point_at(table: str, *owners: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint([f"{owner}_id"], [f"{owner}s.id"], name=op.f(f"fk_{table}_{owner}_id_{owner}s"))
        for owner in owners
    ]


def keep_record(table: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
    op.execute(f"GRANT SELECT, INSERT ON {table} TO {APP_ROLE}")
    op.execute(
        f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    for table in ("adjustments", "credit_note_lines", "credit_notes"):
        op.drop_table(table)
    op.execute("DELETE FROM invoice_numbers WHERE series <> 'INV'")
    op.drop_constraint(op.f("pk_invoice_numbers"), "invoice_numbers", type_="primary")
    op.drop_column("invoice_numbers", "series")
    op.create_primary_key(op.f("pk_invoice_numbers"), "invoice_numbers", ["year"])
