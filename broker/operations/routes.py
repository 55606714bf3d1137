"""What ops takes back."""

from broker.http.edge import OpsWork, feature_router
from broker.operations.schemas import UndoneOut
from broker.operations.undoing import undo_decision

router = feature_router("/audit", "operations")


@router.post("/{entry_id}/undo")
async def undo_audit_entry(work: OpsWork, entry_id: str) -> UndoneOut:
    """Put back what a decision changed of a queue, a pool or a job's priority, from the next cycle on.

    Refused where it was changed since, or is undone already. It is a decision of its own, and can be undone.
    """
    return UndoneOut.of(await undo_decision(work, entry_id))
