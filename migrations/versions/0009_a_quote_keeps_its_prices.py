"""A quote keeps the prices that it was made by: those of one card on every plan, for quotes of before."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Fill in what a quote of before did not say: its card's prices, and GPU-hours at p90 without the tokens."""
    op.execute("SELECT set_config('broker.scope', 'all', true)")
    op.execute(
        """UPDATE quotes SET prices = (
               SELECT jsonb_agg(price || jsonb_build_object(
                   'per_gpu_hour', terms -> 'per_gpu_hour',
                   'per_token', terms -> 'per_token',
                   'rate_card_version', quotes.rate_card_version,
                   'contract_id', NULL,
                   'gpu_cost_p90', jsonb_set(price -> 'total_p90', '{amount}', to_jsonb((
                       (price -> 'total_p90' ->> 'amount')::numeric - (price -> 'token_cost' ->> 'amount')::numeric
                   )::text))
               ) ORDER BY place)
               FROM jsonb_array_elements(quotes.prices) WITH ORDINALITY AS shown (price, place),
                    LATERAL (SELECT card.document -> 'plans' -> (price ->> 'plan') AS terms) AS plan)
           FROM rate_cards AS card
           WHERE card.version = quotes.rate_card_version AND NOT (quotes.prices -> 0 ? 'per_gpu_hour')"""
    )


def downgrade() -> None:
    """Leave the further members where they are: an earlier release passes over them, and here they say more."""
