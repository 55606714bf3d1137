"""Grants have a kind, a meter, a scope and a term; holds know where the usage of their jobs comes from.

A grant of before was bought, pays for all GPU-seconds of its contract from the contract's first day on, and keeps its
expiry and its priority, which still comes before everything else in the order of deduction.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

NEW_WORDS = ("kind", "unit", "project_id", "gpu_type", "status", "reason")


def upgrade() -> None:
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.alter_column("grants", "gpu_seconds", new_column_name="quantity")
    for name in NEW_WORDS:
        op.add_column("grants", sa.Column(name, sa.String(), nullable=True))
    op.add_column("grants", sa.Column("effective_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        """UPDATE grants SET kind = 'bought', unit = 'gpu_seconds', effective_at = contracts.starts_at,
               status = CASE WHEN activated_at IS NULL THEN 'pending' ELSE 'active' END
           FROM contracts WHERE contracts.id = grants.contract_id"""
    )
    for name in ("kind", "unit", "status", "effective_at"):
        op.alter_column("grants", name, nullable=False)
    op.create_foreign_key(op.f("fk_grants_project_id_projects"), "grants", "projects", ["project_id"], ["id"])
    op.create_check_constraint(op.f("ck_grants_quantity_positive"), "grants", "quantity > 0")
    op.create_check_constraint(
        op.f("ck_grants_expires_after_it_begins"), "grants", "expires_at IS NULL OR expires_at > effective_at"
    )
    op.create_index("ix_grants_expiry", "grants", ["expires_at"], postgresql_where=sa.text("status = 'active'"))
    op.add_column("holds", sa.Column("project_id", sa.String(), nullable=True))
    op.add_column("holds", sa.Column("gpu_type", sa.String(), nullable=True))
    op.execute(
        """UPDATE holds SET project_id = jobs.project_id, gpu_type = jobs.estimate ->> 'sku'
           FROM jobs WHERE jobs.id = holds.job_id"""
    )


def downgrade() -> None:
    op.drop_column("holds", "gpu_type")
    op.drop_column("holds", "project_id")
    op.drop_index("ix_grants_expiry", "grants")
    for constraint in ("ck_grants_expires_after_it_begins", "ck_grants_quantity_positive"):
        op.drop_constraint(op.f(constraint), "grants", type_="check")
    for name in ("effective_at", *NEW_WORDS):
        op.drop_column("grants", name)
    op.alter_column("grants", "quantity", new_column_name="gpu_seconds")
