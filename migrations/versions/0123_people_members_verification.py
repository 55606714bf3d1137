"""People who sign in by OpenID Connect, members of projects, a customer's verification (实名) and deletions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0123"
down_revision = "0122"
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
RETURNS = (
    "key_hash varchar, id varchar, role varchar, customer_id varchar, expires_at timestamptz, revoked_at timestamptz,"
    " scopes varchar[]"
)
PROJECTS = (
    ", CASE WHEN k.is_confined THEN ARRAY(SELECT m.project_id || ':' || m.role FROM project_members m"
    " WHERE m.api_key_id = k.id) END"
)
OF_KEYS = (
    "SELECT k.key_hash, k.id, k.role, k.customer_id, k.expires_at, k.revoked_at, k.scopes{} FROM api_keys k"
    " WHERE k.key_hash = ANY (hashes)"
)
OF_SESSIONS = (
    "SELECT s.token_hash, k.id, k.role, k.customer_id, LEAST(s.expires_at, k.expires_at), k.revoked_at, k.scopes{}"
    " FROM sessions s JOIN api_keys k ON k.id = s.api_key_id WHERE s.token_hash = ANY (hashes)"
)


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("is_confined", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("api_keys", "is_confined", server_default=None)
    for name in ("verification", "verified_name", "verification_number", "verification_note"):
        op.add_column("customers", sa.Column(name, sa.String(), nullable=True))
    op.add_column("customers", sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE customers SET verification = 'unverified'")
    op.alter_column("customers", "verification", nullable=False)
    op.create_table(
        "people",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("api_key_id", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=True),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("signed_in_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_keys.id"], name=op.f("fk_people_api_key_id_api_keys")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_people_customer_id_customers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        sa.UniqueConstraint("api_key_id", name=op.f("uq_people_api_key_id")),
        sa.UniqueConstraint("email", name=op.f("uq_people_email")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_people_issuer_subject")),
    )
    op.create_index(op.f("ix_people_customer_id"), "people", ["customer_id"])
    op.create_table(
        "project_members",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("api_key_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_keys.id"], name=op.f("fk_project_members_api_key_id_api_keys")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_project_members_customer_id_customers")
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_project_members_project_id_projects")),
        sa.PrimaryKeyConstraint("project_id", "api_key_id", name=op.f("pk_project_members")),
    )
    op.create_index(op.f("ix_project_members_api_key_id"), "project_members", ["api_key_id"])
    op.create_index(op.f("ix_project_members_customer_id"), "project_members", ["customer_id"])
    op.create_table(
        "customer_deletions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("actor_id", sa.String(), nullable=False),
        sa.Column("entries", JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_customer_deletions_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_deletions")),
    )
    op.create_index(op.f("ix_customer_deletions_customer_id"), "customer_deletions", ["customer_id"])
    for table in ("people", "project_members", "customer_deletions"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON {table} USING ({OWN_ROWS}) WITH CHECK ({OWN_ROWS})")
        op.execute(f"CREATE POLICY rows_of_batch ON {table} USING ({ROWS_OF_BATCH}) WITH CHECK ({ROWS_OF_BATCH})")
    for table in ("people", "project_members"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP_ROLE}")
    op.execute(f"GRANT SELECT, INSERT ON customer_deletions TO {APP_ROLE}")
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON customer_deletions"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE POLICY authenticate ON project_members FOR SELECT"
        " USING (current_setting('broker.scope', true) = 'authenticate')"
    )
    _find_bearers(f"{RETURNS}, projects text[]", PROJECTS)


def downgrade() -> None:
    _find_bearers(RETURNS, "")
    op.drop_table("customer_deletions")
    op.drop_table("project_members")
    op.drop_table("people")
    for name in ("verification", "verified_name", "verification_number", "verification_note", "verified_at"):
        op.drop_column("customers", name)
    op.drop_column("api_keys", "is_confined")


def _find_bearers(returned: str, more: str) -> None:
    op.execute("DROP FUNCTION find_bearers(text[])")
    op.execute(
        f"""
        CREATE FUNCTION find_bearers(hashes text[]) RETURNS TABLE ({returned})
            LANGUAGE sql STABLE SET broker.scope TO 'authenticate'
            AS $$ {OF_KEYS.format(more)} UNION ALL {OF_SESSIONS.format(more)} $$
        """
    )
