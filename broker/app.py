"""The application factory: routes, problems, health, and the daemon that runs beside them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from sqlalchemy import text

import broker
from broker import traces
from broker.adapters.exports import Exports
from broker.adapters.keeping_routes import router as adapter_retention
from broker.adapters.routes import router as adapters
from broker.approvals.routes import router as approvals
from broker.arrears.payment_routes import router as arrears_payments
from broker.arrears.routes import router as arrears
from broker.audit.routes import router as audit
from broker.audit.service import record_decision
from broker.base_models.routes import router as base_models
from broker.billing.adjustment_routes import router as adjustments
from broker.billing.closing.routes import router as closings
from broker.billing.credit_note_routes import router as credit_notes
from broker.billing.routes import router as billing
from broker.billing.vouchers.routes import router as vouchers
from broker.capacity.cost_rate_routes import router as cost_rates
from broker.capacity.routes import router as capacity
from broker.console.frame.live import Streams
from broker.console.frame.told import find_say, say_problem
from broker.console.routes import MENU, add_console
from broker.contracts.rate_card_routes import router as rate_cards
from broker.contracts.routes import router as contracts
from broker.customer_secrets.routes import router as secrets
from broker.daemon.loops import Daemon
from broker.datasets.caption_routes import router as captions
from broker.datasets.routes import customers as storage
from broker.datasets.routes import router as datasets
from broker.datasets.upload_routes import router as uploads
from broker.environments.promotion_routes import router as promotions
from broker.environments.routes import router as environments
from broker.exits.routes import router as exits
from broker.facades.routes import add_facades
from broker.fapiao.debts import read_debt
from broker.fapiao.routes import router as fapiao
from broker.http.access import AccessLog
from broker.http.docs_pages import add_docs_pages
from broker.http.head import HeadAsGet
from broker.http.leaving import Leaving
from broker.http.lingering import Lingering
from broker.http.llms_text import add_llms_text
from broker.http.openapi import install_openapi
from broker.http.problem_pages import add_problem_pages
from broker.http.problems import install_problem_handlers
from broker.http.rate_limits import RateLimits
from broker.http.route_table import install_route_table
from broker.http.shapes import PROBLEM_RESPONSES
from broker.http.shared_reads import SharedReads
from broker.http.shares import Turnstile
from broker.http.short_way import ShortWay
from broker.http.traced import TracedRequests
from broker.identity.bearers import Bearers
from broker.identity.key_limits import find_limit
from broker.identity.openid import open_provider
from broker.identity.routes import router as identity
from broker.jobs.admitting.submissions import Submissions
from broker.jobs.ahead_routes import router as jobs_ahead
from broker.jobs.dataset_routes import router as dataset_deletion
from broker.jobs.loss_routes import router as job_losses
from broker.jobs.reading.event_feed import EventFeed
from broker.jobs.routes import router as jobs
from broker.ledger.listing_routes import router as books
from broker.ledger.routes import router as ledger
from broker.metering.quarantine_routes import router as quarantine
from broker.metering.routes import router as metering
from broker.metering.source_routes import router as usage_sources
from broker.metrics import Metrics, add_metrics_route
from broker.month_checks import MONTH_CHECKS
from broker.notices.reminder_routes import router as reminders
from broker.notices.routes import router as notices
from broker.operations.overview import OverviewReading
from broker.operations.routes import router as operations
from broker.payments.dispute_routes import router as disputes
from broker.payments.model import RefundMethod
from broker.payments.port import PORTS
from broker.payments.refund_routes import router as refunds
from broker.payments.routes import router as payments
from broker.payments.stripe.refunds import StripeRefunds
from broker.payments.stripe.routes import router as stripe
from broker.payments.stripe.webhook_routes import router as received_events
from broker.persistence.database import TimeLimits
from broker.quotes.routes import router as quotes
from broker.reports.finance_routes import router as finance_reports
from broker.reports.routes import router as reports
from broker.reports.usage_export import router as usage_export
from broker.retention.routes import router as retention
from broker.scheduling.routes import contracts as tuned_contracts
from broker.scheduling.routes import jobs as tuned_jobs
from broker.scheduling.routes import pools as tuned_pools
from broker.scheduling.routes import router as simulations
from broker.signing.amendment_routes import router as amendments
from broker.signing.grant_routes import router as grants
from broker.signing.purchase_routes import router as purchases
from broker.signing.routes import router as signing
from broker.signing.top_up_routes import router as top_ups
from broker.system import System
from broker.templates.routes import router as templates
from broker.webhooks.documented import describe_webhooks
from broker.webhooks.routes import router as webhooks
from broker.workers.finishing import collect_finishes
from broker.workers.heartbeat_batches import collect_heartbeats
from broker.workers.routes import router as workers

ROUTERS = (
    workers,
    jobs,
    job_losses,
    jobs_ahead,
    identity,
    simulations,
    tuned_pools,
    tuned_contracts,
    tuned_jobs,
    audit,
    operations,
    rate_cards,
    contracts,
    signing,
    amendments,
    grants,
    purchases,
    top_ups,
    ledger,
    books,
    base_models,
    datasets,
    storage,
    captions,
    uploads,
    dataset_deletion,
    templates,
    secrets,
    quotes,
    adapters,
    adapter_retention,
    promotions,
    environments,
    metering,
    quarantine,
    usage_sources,
    billing,
    arrears_payments,
    credit_notes,
    adjustments,
    arrears,
    exits,
    closings,
    vouchers,
    notices,
    reminders,
    webhooks,
    approvals,
    fapiao,
    payments,
    refunds,
    disputes,
    stripe,
    received_events,
    reports,
    finance_reports,
    usage_export,
    capacity,
    cost_rates,
    retention,
)

# Metrics, logs and traces are our own; each request would ask the environment anew whether somebody wants others.
NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False)

DESCRIPTION = """
What each customer of a LoRA training service has bought, what a job will cost before it runs, who may run next, what
really ran, and what to bill for it.

Every POST takes an `Idempotency-Key` header. Errors are RFC 9457 `application/problem+json`. Their sentences, and those
of what was found in data, are in Chinese where `Accept-Language` prefers it to English. Times are UTC.
Money is `{"amount": "4200.00", "currency": "CNY"}`; a GPU-hour is 3600 GPU-seconds.
"""


def create_app(system: System, daemon: Daemon | None = None) -> FastAPI:
    """Create the service on an opened system; with a daemon it also plans, sweeps and runs local workers."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        table.prepare()
        uses = asyncio.create_task(app.state.bearers.uses.write_regularly(system), name="uses of keys")
        if daemon is not None:
            await daemon.start()
        yield
        if daemon is not None:
            await daemon.stop()
        uses.cancel()
        await asyncio.wait([uses])
        await system.database.close()

    app = FastAPI(
        title="LoRA Broker",
        version=broker.__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        telemetry=NO_TELEMETRY,
    )
    hand_over(app, system)
    install_problem_handlers(app)
    for router in ROUTERS:
        app.include_router(router, responses=PROBLEM_RESPONSES)
    add_health_routes(app)
    add_metrics_route(app)
    install_openapi(app, describe_webhooks)
    add_docs_pages(app)
    add_llms_text(app)
    add_problem_pages(app)
    add_facades(app)
    add_console(app)
    table = install_route_table(app)
    app.add_middleware(HeadAsGet)
    app.add_middleware(ShortWay, table=table)
    if traces.is_on():
        app.add_middleware(TracedRequests)
    app.add_middleware(AccessLog)
    app.add_middleware(Lingering)
    return app


def hand_over(app: FastAPI, system: System) -> None:
    """Hand over to routes and to the edge what lives as long as the process."""
    settings = system.services.settings
    app.state.database, app.state.services = system.database, system.services
    app.state.leaving = Leaving()
    app.state.event_feed = EventFeed(system, app.state.leaving)
    app.state.overview = OverviewReading(system)
    app.state.bearers = Bearers(system.database, system.services)
    app.state.openid = open_provider(settings)
    app.state.rate_limits = RateLimits(system.database, system.services, partial(find_limit, system))
    app.state.record_decision = record_decision
    app.state.say_problem, app.state.find_say = say_problem, find_say
    app.state.read_fapiao_debt = read_debt
    app.state.heartbeats = collect_heartbeats(settings.turn_seconds)
    app.state.finishes = collect_finishes(settings.turn_seconds)
    app.state.turnstile = Turnstile(settings.process_pool_size, wait_seconds=settings.turn_seconds)
    limits = TimeLimits(settings.lock_seconds, settings.statement_seconds)
    app.state.reads = SharedReads(system.database, app.state.turnstile, limits)
    app.state.month_checks = MONTH_CHECKS
    app.state.console_menu, app.state.console_streams = MENU, Streams()
    app.state.metrics = Metrics(system)
    app.state.exports = Exports()
    app.state.submissions = Submissions(settings.turn_seconds)
    if settings.stripe_api_key is not None:
        PORTS[RefundMethod.STRIPE] = StripeRefunds()


def add_health_routes(app: FastAPI) -> None:
    @app.get("/healthz", tags=["operations"])
    async def healthz() -> dict[str, str]:
        """Tell that the process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"])
    async def readyz(request: Request) -> JSONResponse:
        """Tell whether to send it requests: 200; 503 where it leaves, or its database does not answer."""
        if request.app.state.leaving.is_announced:
            return JSONResponse({"status": "leaving"}, 503)
        try:
            async with request.app.state.database.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception as error:  # noqa: BLE001 (whatever it is, we are not ready)
            return JSONResponse({"status": "unavailable", "detail": type(error).__name__}, 503)
        return JSONResponse({"status": "ready"})
