"""A customer's exit: everything in one archive, and its deletion, with proof."""

from fastapi.responses import StreamingResponse

from broker.exits.archive import ArchiveWriter
from broker.exits.deleting import delete_all, get_deletion, look_for_all
from broker.exits.exporting import list_members
from broker.exits.proof import read_public_key, sign_manifest, write_manifest
from broker.exits.schemas import DeletionIn, DeletionOut
from broker.exits.tables import CustomerDeletion
from broker.http.edge import CustomerCaller, CustomerWork, feature_router
from broker.http.scopes import require_each
from broker.identity.service import get_customer, resolve_customer, resolve_customer_of
from broker.work import Work

# Of a key with scopes: what goes out, and what is deleted, is of these areas, too.
EXPORTS = ("account:read", "billing:read", "training:read")
DELETES = ("account:write", "training:write")

router = feature_router("/customers/{customer_id}", "identity")


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}, "description": "The archive, as it is written."}},
)
async def export_customer(caller: CustomerCaller, customer_id: str) -> StreamingResponse:
    """Download all that a customer has: data sets and adapters as files, all else as JSON lines, as the API answers it.

    `manifest.json` in it has the hash of each file, `manifest.sig` the signature (Ed25519) of that. A key with scopes
    needs `billing:read` and `training:read` besides.
    """
    require_each(caller.actor, EXPORTS)
    resolve_customer_of(caller.actor, customer_id)
    async with caller.look() as work:
        await get_customer(work, customer_id)
        work.note_look(customer_id, customer_id)
        writer = ArchiveWriter(customer_id, work.now, work.services.secret)
        told = {"Content-Disposition": f'attachment; filename="{customer_id}.zip"', "Cache-Control": "no-store"}
        pieces = writer.write(list_members(caller, customer_id))
        response = StreamingResponse(pieces, media_type="application/zip", headers=told)
        await caller.record(work, response)
    return response


@router.post("/deletions", status_code=201)
async def delete_customer_data(work: CustomerWork, customer_id: str, body: DeletionIn) -> DeletionOut:
    """Delete all data sets, uploads, adapters and checkpoints of a customer. Jobs, invoices and the books stay, by law.

    Keys of trackers, environments, webhook endpoints and chats go at once, the files with the next sweep; `GET` this
    deletion then for the signed proof. A key with scopes needs `training:write` besides.
    """
    require_each(work.actor, DELETES)
    resolve_customer(work, customer_id)
    record = await delete_all(work, customer_id, confirm=body.confirm)
    return await _prove(work, record)


@router.get("/deletions/{deletion_id}")
async def get_customer_deletion(work: CustomerWork, customer_id: str, deletion_id: str) -> DeletionOut:
    """Get a deletion, and its proof: each file is looked for anew."""
    resolve_customer(work, customer_id)
    record = await get_deletion(work, deletion_id)
    return await _prove(work, record)


async def _prove(work: Work, record: CustomerDeletion) -> DeletionOut:
    entries, services = await look_for_all(work, record), work.services
    manifest = {
        "object": "deletion_manifest",
        "id": record.id,
        "customer_id": record.customer_id,
        "deleted_at": record.created_at.isoformat(),
        "looked_for_at": services.now.isoformat(),
        "entries": entries,
    }
    return DeletionOut(
        id=record.id,
        customer_id=record.customer_id,
        is_complete=all(entry["is_gone"] for entry in entries),
        manifest=manifest,
        signature=sign_manifest(services.secret, write_manifest(manifest)),
        public_key=read_public_key(services.secret),
        created_at=record.created_at,
    )
