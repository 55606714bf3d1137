"""Recording decisions."""

import logging

from broker.audit.tables import AuditEntry
from broker.http.decision import Decision
from broker.work import Work

log = logging.getLogger(__name__)


async def record_decision(work: Work, decision: Decision) -> None:
    """Record a decision of the unit of work's actor; it is kept if what was decided is."""
    entry = AuditEntry(
        id=work.new_id("aud"),
        customer_id=decision.customer_id,
        actor_role=work.actor.role.value,
        actor_id=work.actor.id,
        action=decision.action,
        object_id=decision.object_id,
        sent=decision.sent,
        created_at=work.now,
    )
    work.session.add(entry)
    await work.session.flush()
    log.info("%s %s: %s %s", work.actor.role.value, work.actor.id, decision.action, decision.object_id or "")
