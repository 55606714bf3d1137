"""Keys: scopes, a limit of requests, and the key that one replaces; requests are counted for all processes together."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0120"
down_revision = "0119"
branch_labels = None
depends_on = None

APP_ROLE = "broker_app"
RETURNS = (
    "key_hash varchar, id varchar, role varchar, customer_id varchar, expires_at timestamptz, revoked_at timestamptz"
)
OF_KEYS = "SELECT key_hash, id, role, customer_id, expires_at, revoked_at{} FROM api_keys WHERE key_hash = ANY (hashes)"
OF_SESSIONS = (
    "SELECT s.token_hash, k.id, k.role, k.customer_id, LEAST(s.expires_at, k.expires_at), k.revoked_at{}"
    " FROM sessions s JOIN api_keys k ON k.id = s.api_key_id WHERE s.token_hash = ANY (hashes)"
)


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("scopes", ARRAY(sa.String()), nullable=True))
    op.add_column("api_keys", sa.Column("requests_per_minute", sa.BigInteger(), nullable=True))
    op.add_column("api_keys", sa.Column("replaces", sa.String(), nullable=True))
    op.create_foreign_key(op.f("fk_api_keys_replaces_api_keys"), "api_keys", "api_keys", ["replaces"], ["id"])
    op.create_unique_constraint(op.f("uq_api_keys_replaces"), "api_keys", ["replaces"])
    op.add_column("customers", sa.Column("requests_per_minute", sa.BigInteger(), nullable=True))
    op.create_table(
        "request_counts",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_request_counts")),
        prefixes=["UNLOGGED"],
    )
    op.create_index(op.f("ix_request_counts_expires_at"), "request_counts", ["expires_at"])
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON request_counts TO {APP_ROLE}")
    _find_bearers(", scopes varchar[]", ", {}scopes")


def downgrade() -> None:
    _find_bearers("", "")
    op.drop_table("request_counts")
    op.drop_column("customers", "requests_per_minute")
    op.drop_constraint(op.f("uq_api_keys_replaces"), "api_keys")
    op.drop_constraint(op.f("fk_api_keys_replaces_api_keys"), "api_keys")
    for column in ("replaces", "requests_per_minute", "scopes"):
        op.drop_column("api_keys", column)


def _find_bearers(returned: str, column: str) -> None:
    op.execute("DROP FUNCTION find_bearers(text[])")
    op.execute(
        f"""
        CREATE FUNCTION find_bearers(hashes text[]) RETURNS TABLE ({RETURNS}{returned})
            LANGUAGE sql STABLE SET broker.scope TO 'authenticate'
            AS $$ {OF_KEYS.format(column.format(""))} UNION ALL {OF_SESSIONS.format(column.format("k."))} $$
        """
    )
