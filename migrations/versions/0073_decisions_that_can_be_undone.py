"""Decisions of staff tell what they changed and can be undone; jobs have a priority of their own; nodes are down.

Decisions of before tell nothing of it, and cannot be undone. Jobs of before have their queue's priority.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0073"
down_revision = "0072"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit_entries", sa.Column("changed", JSONB(none_as_null=True), nullable=True))
    op.add_column("audit_entries", sa.Column("undoes", sa.String(), nullable=True))
    op.create_foreign_key("fk_audit_entries_undoes_audit_entries", "audit_entries", "audit_entries", ["undoes"], ["id"])
    op.create_unique_constraint("uq_audit_entries_undoes", "audit_entries", ["undoes"])
    op.add_column("jobs", sa.Column("priority", sa.BigInteger(), nullable=True))
    op.add_column("pools", sa.Column("down_nodes", ARRAY(sa.Text()), nullable=False, server_default="{}"))
    op.alter_column("pools", "down_nodes", server_default=None)


def downgrade() -> None:
    op.drop_column("pools", "down_nodes")
    op.drop_column("jobs", "priority")
    op.drop_column("audit_entries", "undoes")
    op.drop_column("audit_entries", "changed")
