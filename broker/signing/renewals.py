"""Renewing contracts: by a word of finance, or by themselves before their end; and telling that an end is near."""

from dataclasses import replace
from typing import Any

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.agreed import ContractStatus, TrueUpRule
from broker.contracts.terms.model import DEFAULT_OVERAGE, NO_ROLLOVER, ContractTerms, Overage, Rollover
from broker.contracts.terms.renewals import RENEWED_BEFORE, find_warning, plan_successor
from broker.identity.service import lock_customer
from broker.signing.service import SignedContract, sign_contract
from broker.work import Work
from pricing.plans import PlanName


async def renew_contract(work: Work, contract_id: str, **other_terms: Any) -> SignedContract:
    """Sign the contract that follows one, right after its end and under its number; its terms may be others.

    On another plan it buys no tokens ahead, and has overage that lets jobs run and, where it has no queue of its own,
    no guaranteed GPUs, as an amendment would have it. Hours that are not paid ahead have no rollover.

    Raises: NotFound, IllegalTransition, CommitmentRefused, ContractsOverlap, InvalidRequest.
    """
    terms = await _lock_renewable(work, contract_id)
    following = plan_successor(terms)
    rules: dict[str, Any] = {"rollover": await _read_rollover(work, terms)}
    plan = other_terms.get("plan", following.plan)
    if not replace(terms, plan=plan).plan_terms.advance:
        rules["rollover"] = NO_ROLLOVER
    if plan != following.plan:
        rules |= {"true_up": TrueUpRule.AT_END, "committed_tokens": 0}
        if not replace(terms, plan=plan).has_own_queue:
            rules["guaranteed_gpus"] = ()
        if plan == PlanName.ON_DEMAND and following.overage == Overage.BLOCK:
            rules["overage"] = DEFAULT_OVERAGE[plan]
    signed = await sign_contract(work, replace(following, **rules | other_terms))
    facts = {"renewed_by": signed.terms.id, "starts_at": signed.terms.starts_at.isoformat()}
    await record_contract_event(work, terms, ContractEventKind.RENEWED, facts)
    return signed


async def _read_rollover(work: Work, terms: ContractTerms) -> Rollover:
    """Read the rule of the hours that a contract was signed with: those of the one that follows have the same."""
    bought = [grant for grant in await contracts.list_grants(work, terms.id) if not grant.kind.is_gift]
    return bought[0].rollover if bought else NO_ROLLOVER


async def decline_renewal(work: Work, contract_id: str) -> ContractTerms:
    """Let a contract end without one that follows it. Again, it changes nothing.

    Raises: NotFound, IllegalTransition.
    """
    terms = await _lock_renewable(work, contract_id)
    await contracts.stop_renewing(work, terms.id)
    await record_contract_event(work, terms, ContractEventKind.RENEWAL_DECLINED, {}, occasion="end")
    return await contracts.get_contract(work, contract_id)


async def _lock_renewable(work: Work, contract_id: str) -> ContractTerms:
    """Lock a contract that may be renewed or not. Raises: NotFound, IllegalTransition."""
    terms = await _lock(work, contract_id)
    status = terms.status_at(work.now)
    if status == ContractStatus.CANCELLED or terms.ends_at is None:
        what = "cancelled" if terms.ends_at is not None else "without an end"
        raise errors.IllegalTransition(f"Contract {terms.id} is {what}: nothing follows it.", status_before=status)
    successor_id = await contracts.find_successor(work, terms.id)
    if successor_id is not None:
        raise errors.IllegalTransition(
            f"Contract {terms.id} is renewed by {successor_id}; cancel that one to undo it.", status_before=status
        )
    return terms


async def _lock(work: Work, contract_id: str) -> ContractTerms:
    """Lock a contract and, before it, its customer: another contract may be written. Raises: NotFound."""
    await lock_customer(work, (await contracts.get_contract(work, contract_id)).customer_id)
    return await contracts.lock_contract(work, contract_id)


async def attend_to_end(work: Work, contract_id: str) -> None:
    """Tell that a contract's end is near, and renew it in time where it renews itself and is in no arrears."""
    terms = await _lock(work, contract_id)
    if terms.ends_at is None or terms.status_at(work.now) in {ContractStatus.ENDED, ContractStatus.CANCELLED}:
        return
    days = find_warning(terms.ends_at, work.now)
    if days is not None:
        facts = {"days": days, "ends_at": terms.ends_at.isoformat(), "auto_renew": terms.auto_renew}
        occasion = f"{terms.ends_at.isoformat()}/{days}"
        await record_contract_event(work, terms, ContractEventKind.END_NEAR, facts, occasion=occasion)
    is_due = terms.auto_renew and terms.allowed.buy and terms.ends_at - work.now <= RENEWED_BEFORE
    if is_due and await contracts.find_successor(work, terms.id) is None:
        await renew_contract(work, contract_id)
