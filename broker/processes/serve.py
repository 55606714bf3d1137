"""The processes of the service: `broker serve` (API, planning, local runs) and `broker worker` (local runs only)."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import FrameType

from uvicorn.loops.auto import auto_loop_factory

from broker.app import create_app
from broker.billing.documents.fonts import explain_missing
from broker.client_file import local_url, named_to_clients
from broker.config import Settings
from broker.daemon.loops import Daemon
from broker.errors import OperatorError
from broker.execution.identity import AgentLock, load_identity
from broker.execution.membership import Membership
from broker.execution.pool_agent import PoolAgent
from broker.failure_log import FailureLog
from broker.persistence.embedded import revive_embedded_server
from broker.persistence.faults import find_fault
from broker.persistence.patience import outlast
from broker.processes.admin_key import describe_key
from broker.processes.boot import DatabaseUrls, database_urls, migrate_database, prepare, require_shared_database
from broker.processes.child_main import Order
from broker.processes.child_supervisor import further_processes
from broker.processes.engines import make_engine
from broker.processes.http_server import Server, SharingServer, do_unless_hurried, open_listener
from broker.processes.logs import configure_logging
from broker.system import System
from broker.traces import AGENT, SERVICE, tracing

log = logging.getLogger(__name__)

DATABASE_CHECK_SECONDS = 2.0
OWNER_ALONE = 0o077


def make_agent(system: System) -> PoolAgent | None:
    """Make the agent of this process's pool; None where it runs nothing."""
    settings = system.services.settings
    if settings.runs_here and settings.local_slots == 0:
        return None
    lock = AgentLock(settings.data_dir / "agent.lock")
    return PoolAgent(
        system,
        settings.pool,
        make_engine(settings),
        identity=load_identity(settings.data_dir, system.services.new_id),
        membership=Membership.with_own_connection(system, lock),
        engine_name=settings.engine,
        fences=settings.database_url is not None,  # nobody else reaches an embedded database to give devices away
    )


def serve(settings: Settings) -> None:
    """Migrate, then serve until a signal: our runs save and end, then we do.

    A second signal does not wait for them; runs that go on without us are adopted by the next start.
    """
    configure_logging(settings)
    os.umask(OWNER_ALONE)  # for all below the data directory, written by us and by what we start
    signal.signal(signal.SIGTERM, _exit_on_signal)
    with (
        tracing(SERVICE),
        open_listener(settings.host, settings.port) as listener,
        database_urls(settings) as urls,
    ):
        if urls.owner is not None:
            migrate_database(urls, wait_seconds=settings.database_wait_seconds)
        listening = settings.model_copy(update={"port": listener.getsockname()[1]})
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:  # uvloop, where there is one
            runner.run(_serve(listening, urls, listener))


def _exit_on_signal(number: int, _frame: FrameType | None) -> None:
    """Exit through every `finally`, so that the database is stopped; used until the server takes signals itself."""
    sys.exit(128 + number)


async def _serve(settings: Settings, urls: DatabaseUrls, listener: socket.socket) -> None:
    async with prepared_daemon(settings, urls) as daemon:
        app = create_app(daemon.system, daemon)
        server = (Server if settings.workers == 1 else SharingServer).of(app, settings)
        server.drain = daemon.drain
        server.ends_listening = True
        order = Order(settings=settings, database_url=urls.app, listener=listener.fileno())
        url, stands_by = local_url(settings.host, settings.port), daemon.agent is not None and daemon.agent.stands_by
        keeping = asyncio.create_task(keep_database(settings))
        try:
            with named_to_clients(settings.data_dir, url, beside_another=stands_by):
                missing = explain_missing(settings.font_dir)
                if missing is not None:
                    log.warning(missing)
                url, key = settings.worker_url, await outlast(partial(describe_api_key, daemon.system))
                log.info("API at %s/docs, console at %s/console/; %s", url, url, key)
                async with further_processes(settings.workers - 1, order) as further:
                    server.on_last_call = further.leave
                    await server.serve(sockets=[listener])
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


@asynccontextmanager
async def prepared_daemon(settings: Settings, urls: DatabaseUrls, *, plans: bool = True) -> AsyncIterator[Daemon]:
    """Open the system and take this machine's pool, before anything is served.

    A database that dies meanwhile, or where others hold what is needed, is asked again. Raises: OperatorError.
    """
    async with AsyncExitStack() as closing:
        yield await outlast(partial(_open_daemon, settings, urls, closing, plans=plans))


async def _open_daemon(settings: Settings, urls: DatabaseUrls, closing: AsyncExitStack, *, plans: bool) -> Daemon:
    """Open what a daemon needs, once its database answers; `closing` closes it, where it was opened."""
    async with AsyncExitStack() as opened:
        system = await prepare(settings, urls)
        opened.push_async_callback(system.database.close)
        await system.database.check_role()
        agent = make_agent(system)
        if agent is not None:
            opened.push_async_callback(agent.close)
            await agent.register()
        closing.push_async_exit(opened.pop_all())
        return Daemon(system, agent, plans=plans)


async def describe_api_key(system: System) -> str:
    async with system.work() as work:
        return await describe_key(work)


async def keep_database(settings: Settings) -> None:
    """Start the embedded server again whenever it has been killed, for as long as we run."""
    failures, starting = FailureLog(), "starting the embedded database again"
    while settings.database_url is None:
        await asyncio.sleep(DATABASE_CHECK_SECONDS)
        try:
            if await asyncio.to_thread(revive_embedded_server, settings.data_dir):
                log.warning("the embedded database was gone, and has been started again")
        except Exception as error:  # noqa: BLE001 (whatever it is, the next attempt may work)
            is_told = isinstance(error, OperatorError | OSError)
            failures.note(starting, error, expected=is_told or find_fault(error) is not None)
        else:
            failures.settle(starting)


def work(settings: Settings) -> None:
    """Run an engine without an API, for a machine that only trains, or that submits to a cluster."""
    if settings.runs_here and settings.local_slots == 0:
        raise SystemExit("broker: BROKER_LOCAL_SLOTS is 0: this worker would run nothing")
    configure_logging(settings)
    os.umask(OWNER_ALONE)  # for all below the data directory, written by us and by what we start
    signal.signal(signal.SIGTERM, _exit_on_signal)
    require_shared_database(settings)
    with tracing(AGENT), database_urls(settings) as urls:
        asyncio.run(_work(settings, urls))


async def _work(settings: Settings, urls: DatabaseUrls) -> None:
    async with prepared_daemon(settings, urls, plans=False) as daemon:
        signals: asyncio.Queue[int] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, signals.put_nowait, number)
        await daemon.start()
        await signals.get()
        await do_unless_hurried(daemon.drain(), signals.get())
        await daemon.stop()
