"""Deleting a data set, which only jobs know the use of."""

from broker.http.edge import CustomerWork, feature_router
from broker.identity.service import require_whole_account
from broker.jobs.reading.withdrawal import delete_dataset as delete

router = feature_router("/datasets", "datasets")


@router.delete("/{dataset_id}", status_code=204)
async def delete_dataset(work: CustomerWork, dataset_id: str) -> None:
    """Delete a data set; refused while a job on it is not over. Quotes, jobs and invoices that name it stay.

    A key that is confined to projects deletes none: those of all projects train on them.
    """
    require_whole_account(work.actor)
    await delete(work, dataset_id)
