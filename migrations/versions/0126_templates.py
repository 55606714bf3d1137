"""Templates of projects with their versions, and which one a job was made from."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0126"
down_revision = "0125"
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
    op.create_table(
        "templates",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_templates_customer_id_customers")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_templates_project_id_projects")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_templates")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_templates_project_id_name")),
    )
    op.create_index(op.f("ix_templates_customer_id"), "templates", ["customer_id"])
    op.create_table(
        "template_versions",
        sa.Column("template_id", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("config", JSONB(), nullable=False),
        sa.Column("may_change", JSONB(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_template_versions_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(
            ["template_id"], ["templates.id"], name=op.f("fk_template_versions_template_id_templates")
        ),
        sa.PrimaryKeyConstraint("template_id", "version", name=op.f("pk_template_versions")),
    )
    op.create_index(op.f("ix_template_versions_customer_id"), "template_versions", ["customer_id"])
    for table in ("templates", "template_versions"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
        op.execute(f"CREATE POLICY rows_of_batch ON {table} USING ({ROWS_OF_BATCH}) WITH CHECK ({ROWS_OF_BATCH})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON templates TO {APP_ROLE}")
    op.execute(f"GRANT SELECT, INSERT ON template_versions TO {APP_ROLE}")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON template_versions"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.add_column("jobs", sa.Column("template_id", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("template", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "template")
    op.drop_column("jobs", "template_id")
    op.drop_table("template_versions")
    op.drop_table("templates")
