"""An invoice says on which day it is due: so many days after that of its number as its contract gave then."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

# A term that a contract had at the moment of an invoice's number: that of its last amendment by then, or as signed.
TERM_THEN = """
    coalesce((
        SELECT each.value -> 'values' ->> '{name}'
        FROM jsonb_array_elements(c.changes) WITH ORDINALITY AS each(value, ordinality)
        WHERE each.value -> 'values' ? '{name}'
            AND (each.value ->> 'effective_at')::timestamptz <= i.finalized_at
        ORDER BY each.ordinality DESC LIMIT 1
    ), c.{name}::text)"""
DUE_DAYS = f"""
    UPDATE invoices i
    SET due_on = least(
        (i.finalized_at AT TIME ZONE {TERM_THEN.format(name="time_zone")})::date
            + ({TERM_THEN.format(name="payment_days")})::integer,
        (i.expires_at AT TIME ZONE {TERM_THEN.format(name="time_zone")})::date)
    FROM contracts c
    WHERE c.id = i.contract_id AND i.finalized_at IS NOT NULL"""


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.add_column("invoices", sa.Column("due_on", sa.Date(), nullable=True))
    op.execute(DUE_DAYS)


def downgrade() -> None:
    op.drop_column("invoices", "due_on")
