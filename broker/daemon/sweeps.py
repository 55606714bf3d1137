"""What is swept every few seconds or once an hour: holds, grants, orders, arrears, notices, months and leftovers."""

import logging
from dataclasses import dataclass, field

from broker.addresses import read_networks
from broker.arrears import sweep as arrears
from broker.billing.closing.automatic import list_due_drafts
from broker.billing.closing.driving import run_closings
from broker.billing.service import MonthOfContract, draft_if_over, finalize_invoice, list_undrafted_months
from broker.contracts import service as contracts
from broker.environments.looking import look_at_all
from broker.environments.pushing import Pusher
from broker.http.idempotency import forget_old_answers
from broker.http.repeats import forget_sent_orders
from broker.http.request_counts import forget_old_counts
from broker.identity.sessions import sweep_sessions
from broker.jobs.admitting.changed_types import OfferWatch, list_jobs_to_offer, offer_new_types
from broker.jobs.running.control import list_queued_without_contract, pause_without_contract
from broker.jobs.service import is_live, list_live
from broker.ledger import service as ledger
from broker.metering.keeping.months import open_months_ahead
from broker.month_checks import MONTH_CHECKS
from broker.notices.money_ending import warn_of_end
from broker.notices.port import open_port
from broker.notices.sending import compose_notices, send_notices
from broker.payments.stripe.forgetting import forget_old_steps
from broker.retention import service as retention
from broker.scheduling.shortfalls import ShortfallWatch, tell_shortfalls
from broker.scheduling.simulations import run_next_simulation
from broker.signing.purchases import expire_purchase, list_overdue_purchases
from broker.signing.renewals import attend_to_end
from broker.signing.top_ups import list_due_top_ups, order_top_up
from broker.signing.unused import carry_compensation, end_term
from broker.system import System
from broker.webhooks.composing import compose_events
from broker.webhooks.delivering import Deliverer
from broker.webhooks.replaying import forget_events
from broker.webhooks.sender import HttpSender
from broker.work import Work

log = logging.getLogger(__name__)


@dataclass
class Sweeps:
    """The sweeps of one process. Each finds what is due in a transaction, and handles every piece of it in its own:
    one that fails keeps nobody else's, and what is done twice, by two processes, is done once.
    """

    system: System
    shortfalls: ShortfallWatch = field(default_factory=ShortfallWatch)
    offers: OfferWatch = field(default_factory=OfferWatch)

    async def sweep_holds(self) -> None:
        """Renew the holds of live jobs; expire those that nothing renews any more, and tell that they were left.

        All that wait are renewed in one statement; those whose money is an earlier month's each in a transaction.
        """
        async with self.system.work() as work:
            live = await list_live(work, await ledger.list_holds_due_for_renewal(work))
            of_earlier_months = await ledger.extend_holds(work, live)
        await self.system.work_on(of_earlier_months, _renew_hold_of_live_job)
        async with self.system.work() as work:
            over = await ledger.list_expired_holds(work)
            renewed_next_time = set(await list_live(work, over))  # it was locked just now
        expired = [job_id for job_id in over if job_id not in renewed_next_time]
        for job_id in expired:
            log.warning("the hold of job %s was left behind: what it has is free again", job_id)
        await self.system.work_on(expired, ledger.expire_hold)

    async def expire_grants(self) -> None:
        """End the grants whose term is over, or carry them on into the renewal; each in a transaction of its own.

        Lost work that live holds have again of them is compensated, and goes to the contract that follows, too.
        """
        async with self.system.work() as work:
            over = await ledger.list_grants_to_expire(work)
        await self.system.work_on(over, end_term)
        async with self.system.work() as work:
            lost = await ledger.list_holds_to_compensate(work)
        await self.system.work_on(lost, ledger.compensate_hold)
        async with self.system.work() as work:
            stranded = await ledger.list_stranded_compensations(work)
        await self.system.work_on(stranded, carry_compensation)

    async def offer_new_types(self) -> None:
        """Let waiting jobs that accept whatever fits run on the types of pools that have opened since."""
        async with self.system.work() as work:
            waiting = await list_jobs_to_offer(work, self.offers)
        await self.system.work_on(waiting, offer_new_types)

    async def pause_jobs_of_ended_contracts(self) -> None:
        """Take the jobs out of their queues whose contracts have ended: a run would stop with its first heartbeat."""
        async with self.system.work() as work:
            waiting = await list_queued_without_contract(work)
        await self.system.work_on(waiting, pause_without_contract)

    async def sweep_arrears(self) -> None:
        """Decide anew how contracts stand that are behind with paying, and delete what was announced of closed ones."""
        await arrears.sweep(self.system)

    async def sweep_jobs_in_arrears(self) -> None:
        """Pause what nobody has paid for, and let go on what was paused for arrears that are settled."""
        await arrears.sweep_jobs(self.system)

    async def send_notices(self) -> None:
        """Compose what customers are to be told of, and send what is due."""
        await compose_notices(self.system)
        await send_notices(self.system, open_port(self.system.services.settings))

    async def compose_webhooks(self) -> None:
        """Make events of what customers' programs listen to; however slow those are that are being sent to."""
        await compose_events(self.system)

    async def send_webhooks(self) -> None:
        """Send customers' programs what is due."""
        sender = HttpSender(read_networks(self.system.services.settings.webhook_networks))
        await Deliverer(self.system, sender).deliver_due()

    async def push_to_environments(self) -> None:
        """Push to environments what they are to serve and do not yet."""
        await Pusher(self.system).push_due()

    async def look_at_environments(self) -> None:
        """Ask environments what they serve; what they lack is pushed again."""
        await look_at_all(self.system)

    async def forget_webhooks(self) -> None:
        """Forget the events that are too old to be replayed."""
        await forget_events(self.system)

    async def warn_of_money_ending(self) -> None:
        """Tell in good time that paid hours end at the pace of late, 3, 2 and 1 days before."""
        async with self.system.work() as work:
            forecast = await contracts.list_with_paid_grants(work)
        await self.system.work_on(forecast, warn_of_end)

    async def warn_of_expiry(self) -> None:
        """Tell in good time which grants expire with something left, each once for each of the days before."""
        async with self.system.work() as work:
            ending = await ledger.list_grants_to_warn_of(work)
        await self.system.work_on(ending, ledger.warn_of_expiry)

    async def sweep_purchases(self) -> None:
        """End the orders that were not paid in time, and order what contracts buy by themselves."""
        async with self.system.work() as work:
            overdue = await list_overdue_purchases(work)
        await self.system.work_on(overdue, expire_purchase)
        async with self.system.work() as work:
            due = await list_due_top_ups(work)
        await self.system.work_on(due, order_top_up)

    async def close_months(self) -> None:
        """Draft the invoices that are missing of past months, and finalize those that do so by themselves."""
        async with self.system.work() as work:
            missing = await list_undrafted_months(work)
        await self.system.work_on(missing, _draft_invoice)
        async with self.system.work() as work:
            due = await list_due_drafts(work)
        await self.system.work_on(due, finalize_invoice)

    async def run_closings(self) -> None:
        """Take on the closings that finance has started, until they end."""
        await run_closings(self.system, MONTH_CHECKS)

    async def attend_to_ends(self) -> None:
        """Tell of the contracts whose end is near, and renew those that renew themselves; each in a transaction."""
        async with self.system.work() as work:
            ending = await contracts.list_ending(work)
        await self.system.work_on(ending, attend_to_end)

    async def watch_guarantees(self) -> None:
        """Tell contracts and ops where fewer GPUs are there than are guaranteed."""
        async with self.system.work() as work:
            await tell_shortfalls(work, self.shortfalls)

    async def simulate_proposals(self) -> None:
        """Work out the simulations that ops asked for, one after the other."""
        while await run_next_simulation(self.system):
            pass

    async def forget_idempotency_keys(self) -> None:
        forgotten = 1
        while forgotten:
            async with self.system.work() as work:
                forgotten = await forget_old_answers(work)
        async with self.system.work() as work:
            await forget_sent_orders(work)
        forgotten = 1
        while forgotten:
            async with self.system.work() as work:
                forgotten = await forget_old_counts(work)

    async def sweep_sessions(self) -> None:
        """Sweep the sessions of the console whose time is over."""
        swept = 1
        while swept:
            async with self.system.work() as work:
                swept = await sweep_sessions(work)

    async def open_usage_months(self) -> None:
        """Make the partitions that the usage events of the next months go to."""
        async with self.system.work() as work:
            opened = await open_months_ahead(work)
        for month in opened:
            log.info("usage events of %s have a partition of their own", month)

    async def sweep_leftovers(self) -> None:
        """Sweep what nobody needs any more, by the rules of the settings."""
        await retention.sweep(self.system)
        await forget_old_steps(self.system)

    async def sweep_run_folders(self) -> None:
        """Sweep the folders of this machine's ended runs."""
        await retention.sweep_run_folders(self.system, self.system.services.settings.runs_root)


async def _draft_invoice(work: Work, place: MonthOfContract) -> None:
    invoice = await draft_if_over(work, place)
    if invoice is not None:
        log.info("drafted invoice %s for %s of contract %s", invoice.id, invoice.month, invoice.contract_id)


async def _renew_hold_of_live_job(work: Work, job_id: str) -> None:
    if await is_live(work, job_id):
        await ledger.renew_holds(work, [job_id])
