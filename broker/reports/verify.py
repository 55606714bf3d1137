"""`broker ledger verify`: every room's checks of what must hold between the tables, run over all tenants."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from broker.billing.checks import BILLING_CHECKS
from broker.fapiao.checks import FAPIAO_CHECKS
from broker.jobs.reading.checks import JOB_CHECKS
from broker.ledger.reading.verify import LEDGER_CHECKS
from broker.payments.checks import PAYMENT_CHECKS
from broker.payments.stripe.checks import STRIPE_CHECKS
from broker.persistence.database import Scope, open_database

CHECKS = (*LEDGER_CHECKS, *JOB_CHECKS, *BILLING_CHECKS, *FAPIAO_CHECKS, *PAYMENT_CHECKS, *STRIPE_CHECKS)


@dataclass(frozen=True)
class CheckResult:
    """A rule with the rows that break it, and what is to be done about them where that is known."""

    rule: str
    broken: list[str]
    cure: str | None = None


async def verify_ledger(session: AsyncSession) -> list[CheckResult]:
    """Run every check over all tenants; a result without broken rows holds."""
    results = []
    for check in CHECKS:
        rows = (await session.execute(text(check.query))).mappings().all()
        broken = [", ".join(f"{key}={value}" for key, value in row.items()) for row in rows]
        results.append(CheckResult(check.rule, broken, check.cure))
    return results


async def verify_database(url: str) -> list[CheckResult]:
    """Verify a database by its URL, over a connection of its own."""
    database = open_database(url)
    try:
        async with database.transaction(Scope.ALL) as session:
            return await verify_ledger(session)
    finally:
        await database.close()
