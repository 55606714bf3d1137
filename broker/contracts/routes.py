"""Contracts and what is left of them."""

from sqlalchemy import select

from broker.contracts import service
from broker.contracts.schemas import BalanceOut, ContractIn, ContractOut, SignedContractOut
from broker.contracts.tables import Contract
from broker.http.edge import AdminWork, AnyKey, feature_router
from broker.http.paging import fetch_page
from broker.http.shapes import Cursor, Limit, Page
from broker.ledger.service import read_contract_balance
from broker.signing.service import sign_contract
from pricing.money import Money

router = feature_router("/contracts", "contracts")


@router.post("", status_code=201)
async def create_contract(work: AdminWork, body: ContractIn) -> SignedContractOut:
    """Sign a contract; a plan whose least commitment is not met is refused."""
    budget = body.monthly_budget
    signed = await sign_contract(
        work,
        customer_id=body.customer_id,
        plan=body.plan,
        committed_gpu_hours=body.committed_gpu_hours,
        starts_at=body.starts_at or work.now,
        ends_at=body.ends_at,
        overage=body.overage,
        quote_guarantee=body.quote_guarantee,
        monthly_budget_micros=None if budget is None else Money.from_decimal(budget).micros,
    )
    return SignedContractOut(**ContractOut.of(signed.terms).model_dump(), advance_invoice_id=signed.advance_invoice_id)


@router.get("")
async def list_contracts(work: AnyKey, limit: Limit = 20, cursor: Cursor = None) -> Page[ContractOut]:
    rows, after = await fetch_page(work.session, select(Contract), Contract, limit=limit, cursor=cursor)
    terms = await service.load_terms(work, {row.id for row in rows})
    return Page(data=[ContractOut.of(terms[row.id]) for row in rows], next_cursor=after)


@router.get("/{contract_id}")
async def get_contract(work: AnyKey, contract_id: str) -> ContractOut:
    return ContractOut.of(await service.get_contract(work, contract_id))


@router.get("/{contract_id}/balance")
async def get_balance(work: AnyKey, contract_id: str) -> BalanceOut:
    """Available, held and used, as of now."""
    return BalanceOut.of(contract_id, await read_contract_balance(work, contract_id), work.now)
