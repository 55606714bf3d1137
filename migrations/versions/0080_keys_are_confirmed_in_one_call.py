"""Keys are confirmed by a function that plans its look-up once for each connection, not for each message."""

from alembic import op

revision = "0080"
down_revision = "0079"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION are_bearers(hashes text[], told text[], moment timestamptz) RETURNS boolean
            LANGUAGE plpgsql STABLE SET broker.scope TO 'authenticate'
            AS $$
            BEGIN
                RETURN cardinality(told) = (
                    SELECT count(*) FROM api_keys
                    WHERE key_hash = ANY (hashes) AND revoked_at IS NULL
                      AND (expires_at IS NULL OR expires_at > moment)
                      AND concat_ws(' ', key_hash, id, role, customer_id) = ANY (told)
                );
            END $$
        """
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION are_bearers(text[], text[], timestamptz)")
