"""Proposals that need two people."""

from typing import Annotated

from fastapi import Query

from broker.approvals import service
from broker.approvals.model import ApprovalStatus
from broker.approvals.schemas import ActName, ApprovalIn, ApprovalOut, RejectionIn
from broker.approvals.tables import Approval
from broker.http.edge import FinanceWork, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import NEWEST, Cursor, Limit, OfCustomer, Order, Page

router = feature_router("/approvals", "billing")


@router.post("", status_code=201)
async def propose_act(work: FinanceWork, body: ApprovalIn) -> ApprovalOut:
    """Propose what gives money away, for another person to approve; it is tried out first, and nothing is booked."""
    return ApprovalOut.of(await service.propose(work, body.read_proposal()), work.now)


@router.get("")
async def list_approvals(
    work: FinanceWork,
    status: Annotated[ApprovalStatus | None, Query(description="Only these.", examples=["proposed"])] = None,
    act: Annotated[ActName | None, Query(description="Only these.", examples=["adjustment"])] = None,
    customer_id: OfCustomer = None,
    subject_id: Annotated[
        str | None, Query(description="Only about this invoice, grant or contract.", examples=["inv_01k"])
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = NEWEST,
) -> Page[ApprovalOut]:
    """List proposals, newest first; with `status=proposed` those that wait for another person."""
    query = service.select_approvals(work, status, act=act, customer_id=customer_id, subject_id=subject_id)
    rows, after = await fetch_page(work.session, query, Approval, limit=limit, cursor=cursor, order=order)
    return Page(data=[ApprovalOut.of(row, work.now) for row in rows], next_cursor=after)


@router.get("/{approval_id}")
async def get_approval(work: FinanceWork, approval_id: str) -> ApprovalOut:
    return ApprovalOut.of(await service.get_approval(work, approval_id), work.now)


@router.post("/{approval_id}/approve")
async def approve_act(work: FinanceWork, approval_id: str) -> ApprovalOut:
    """Approve what another person proposed: it is done, in the same transaction."""
    return ApprovalOut.of(await service.approve(work, approval_id), work.now)


@router.post("/{approval_id}/reject")
async def reject_act(work: FinanceWork, approval_id: str, body: RejectionIn) -> ApprovalOut:
    """Reject what was proposed; who proposed it takes it back so."""
    return ApprovalOut.of(await service.reject(work, approval_id, body.reason), work.now)
