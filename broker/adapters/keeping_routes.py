"""How many versions of a name a customer keeps: its rules, set and tried."""

from broker.adapters import keeping
from broker.adapters.keeping_schemas import KeepIn, KeptOut, SupersededOut
from broker.adapters.tables import AdapterRetention
from broker.http.edge import CustomerWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import Cursor, Limit, OfCustomer, Page
from broker.identity.service import lock_customer, require_whole_account, resolve_customer

router = feature_router("/adapter-retention", "adapters")


@router.get("")
async def list_adapter_retention(
    work: CustomerWork, customer_id: OfCustomer = None, limit: Limit = 20, cursor: Cursor = None
) -> Page[KeptOut]:
    """List how many versions stay, name by name; where no rule holds, that of ops does, if there is one."""
    query = keeping.select_rules(customer_id=customer_id)
    rows, after = await fetch_page(work.session, query, AdapterRetention, limit=limit, cursor=cursor)
    return Page(data=[KeptOut.of(row) for row in rows], next_cursor=after)


@router.post("")
async def keep_adapters(work: CustomerWork, body: KeepIn) -> KeptOut:
    """Keep so many of the newest versions of a name; older ones are deleted by the next sweep.

    Never what a stage has or an undo would go back to, what a job goes on from that is not over, or what is tagged
    `keep`. Try it by `POST /v1/adapter-retention/preview` first.
    """
    require_whole_account(work.actor)
    customer_id = (await lock_customer(work, resolve_customer(work, body.customer_id))).id
    row = await keeping.set_rule(work, customer_id, body.name, body.kept_versions)
    return KeptOut(id=None, customer_id=customer_id, name=body.name) if row is None else KeptOut.of(row)


@router.post("/preview")
async def preview_adapter_retention(work: CustomerWork, body: KeepIn) -> SupersededOut:
    """Tell which versions the next sweep would delete by a rule beside the others, and delete none."""
    require_whole_account(work.actor)
    customer_id = (await lock_customer(work, resolve_customer(work, body.customer_id))).id
    rows = await keeping.foresee_rule(work, customer_id, body.name, body.kept_versions)
    return SupersededOut.of(customer_id, rows)
