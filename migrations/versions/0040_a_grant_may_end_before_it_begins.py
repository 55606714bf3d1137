"""A grant that ends with its contract, or by an amendment, before it has begun pays for nothing: its term is empty."""

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

TERM = "ck_grants_expires_after_it_begins"
EMPTY_TERM_ALLOWED = "ck_grants_expires_no_earlier_than_it_begins"


def upgrade() -> None:
    op.drop_constraint(op.f(TERM), "grants", type_="check")
    op.create_check_constraint(op.f(EMPTY_TERM_ALLOWED), "grants", "expires_at IS NULL OR expires_at >= effective_at")


def downgrade() -> None:
    op.execute("UPDATE grants SET expires_at = effective_at + interval '1 microsecond' WHERE expires_at = effective_at")
    op.drop_constraint(op.f(EMPTY_TERM_ALLOWED), "grants", type_="check")
    op.create_check_constraint(op.f(TERM), "grants", "expires_at IS NULL OR expires_at > effective_at")
