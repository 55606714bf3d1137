"""The `broker` command: its parts, and what becomes of every error."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from broker.cli.deferred import DeferredGroup, Place
from broker.cli.failures import ExitCode, explain_failure, wording_usage
from broker.cli.words import LANGUAGES, say, speaking, speaks_chinese, take_language, translate

COMMANDS = {
    "serve": Place(
        "broker.cli.local.serve:serve",
        "Migrate, start the embedded PostgreSQL if no other is set, serve, plan and run local workers.",
    ),
    "worker": Place(
        "broker.cli.local.serve:worker",
        "Run training on this machine, or on a cluster, for a broker elsewhere that shares its database.",
    ),
    "migrate": Place("broker.cli.local.migrate:migrate", "Bring the database to the newest revision."),
    "demo": Place("broker.cli.demo.command:demo", "Take customers' LoRA jobs through the whole service, for real."),
    "login": Place(
        "broker.cli.remote.account:login",
        "Keep an address and a key for further commands, once the broker has accepted them.",
    ),
    "logout": Place(
        "broker.cli.remote.account:logout",
        "Forget the address and the key that `broker login` has kept; the key itself stays valid.",
    ),
    "whoami": Place(
        "broker.cli.remote.account:whoami", "Say which broker answers, whose key is used, and where the key is from."
    ),
    "quote": Place(
        "broker.cli.remote.quotes:create_quote",
        "Upload data, show what is wrong with them and what a job on them will cost. Nothing is reserved.",
    ),
    "submit": Place(
        "broker.cli.remote.jobs.submit:submit_job",
        "Upload data, show what is wrong with them and what the job will cost, and submit it once you have said yes.",
    ),
    "base-models": Place("broker.cli.remote.base_models:list_base_models", "List the base models that a job can name."),
    "quotes": Place("broker.cli.remote.quotes:app", "Quotes: what a job will cost, before you submit it."),
    "jobs": Place("broker.cli.remote.jobs.app:app", "Training jobs: list, submit, follow, control, download."),
    "adapters": Place("broker.cli.remote.keeping:app", "Adapters: list, show, pull, download, delete."),
    "environments": Place(
        "broker.cli.remote.environments:app",
        "Environments, which serve what a stage has: list, create, show, change, push, remove.",
    ),
    "datasets": Place(
        "broker.cli.remote.datasets:app", "Data sets: upload, list, show, check, label, caption, delete."
    ),
    "keys": Place("broker.cli.remote.keys:app", "API keys: list, create, rotate, limit, revoke."),
    "customers": Place("broker.cli.remote.customers:app", "Customers: list, people, verification, export, deletion."),
    "templates": Place(
        "broker.cli.remote.templates:app", "Templates: list, show, create, add-version, archive, restore."
    ),
    "secrets": Place("broker.cli.remote.secrets:app", "Keys of your own trackers: list, set, rotate, remove."),
    "projects": Place("broker.cli.remote.projects:app", "Projects: list, create, members."),
    "contracts": Place("broker.cli.remote.contracts:app", "Contracts: list, show, change, end."),
    "grants": Place("broker.cli.remote.grants:app", "Grants: list, show, give, void, refund."),
    "invoices": Place("broker.cli.remote.invoices:app", "Invoices: list, show, download, pay, remind, void, verify."),
    "invoice": Place(
        "broker.cli.remote.invoices:app", "Invoices: list, show, download, pay, remind, void, verify.", hidden=True
    ),
    "close-month": Place(
        "broker.cli.remote.closing:close_month",
        "Close a month: all its drafts become final, then its books are locked for good. It can be run again.",
    ),
    "vouchers": Place(
        "broker.cli.remote.bookkeeping:export_vouchers",
        "Export the vouchers (凭证) of a closed month by the chart of accounts (finance).",
    ),
    "chart": Place("broker.cli.remote.bookkeeping:chart", "The chart of accounts (科目表): show, set."),
    "arrears": Place("broker.cli.remote.arrears:app", "Arrears (欠费): who is behind with paying; give time."),
    "webhooks": Place(
        "broker.cli.remote.webhooks:app", "Webhooks: create, list, change, test, replay, attempts, rotate, remove."
    ),
    "fapiao": Place(
        "broker.cli.remote.fapiao:app", "Fapiao (发票): list, show, request, issue, take back, upload, download."
    ),
    "approvals": Place(
        "broker.cli.remote.approvals:app", "What needs two people: list, show, propose, approve, reject."
    ),
    "purchases": Place("broker.cli.remote.purchases:app", "Purchases of hours and tokens: list, order, cancel, pay."),
    "top-ups": Place("broker.cli.remote.top_ups:app", "Automatic top-ups: list, show, set, remove."),
    "topups": Place("broker.cli.remote.top_ups:app", "Automatic top-ups: list, show, set, remove.", hidden=True),
    "stripe": Place(
        "broker.cli.remote.stripe:app", "Stripe: whose invoices it collects, how far they are, differences."
    ),
    "payments": Place("broker.cli.remote.payments:app", "Payments: import statements, list, claim, unclaim, return."),
    "disputes": Place("broker.cli.remote.disputes:app", "Disputes: list, open, answer, win, lose, withdraw."),
    "refunds": Place("broker.cli.remote.refunds:app", "Refunds: list, request, send, confirm, fail."),
    "rate-cards": Place("broker.cli.remote.rate_cards:app", "Rate cards: list, show, publish."),
    "balance": Place(
        "broker.cli.remote.contracts:show_balance",
        "Show what of a contract is available, held by live jobs, and used.",
    ),
    "usage": Place("broker.cli.remote.usage:app", "Usage: added up, and exported."),
    "report": Place(
        "broker.cli.remote.reports:show_report", "Show what a month costs: the one under way, or the one that is named."
    ),
    "reports": Place(
        "broker.cli.remote.reports:app",
        "Reports: what a month has cost, what is owed, which plan to sign next, how good expected starts were.",
    ),
    "admin-key": Place(
        "broker.cli.local.admin_key:admin_key",
        "Make an administrator's key where the others are lost; needs none.",
    ),
    "queues": Place(
        "broker.cli.queues:app", "Queues: list, change, how contracts stand in them, what another policy would do."
    ),
    "pools": Place(
        "broker.cli.remote.operations.pools:app", "Pools: list, drain, resume, declare down, plan maintenance."
    ),
    "why": Place(
        "broker.cli.remote.jobs.showing:explain_job", "Say why a job does not run, or when it will have ended."
    ),
    "logs": Place(
        "broker.cli.remote.jobs.logs:show_training_log", "Show the lines that a job's training wrote, of all its runs."
    ),
    "metrics": Place(
        "broker.cli.remote.jobs.metrics:show_metrics", "Show the training and validation loss of a job by step."
    ),
    "drain": Place(
        "broker.cli.remote.operations.pools:drain_pool",
        "Start nothing new on a pool, or on machines of it; what runs there ends by itself.",
    ),
    "top": Place(
        "broker.cli.remote.operations.top:show_top",
        "Show queues, pools, contracts and why jobs wait, redrawn every second; on a pipe once, as plain text.",
    ),
    "announcements": Place(
        "broker.cli.remote.operations.announcements:app", "Announcements to customers: list, create, end."
    ),
    "retention": Place("broker.cli.remote.operations.retention:app", "How long what is kept: show, preview, set."),
    "audit": Place("broker.cli.remote.operations.audit:app", "Decisions of staff: list, undo."),
    "models": Place("broker.cli.local.models:app", "Base models that customers may name: add, list, remove."),
    "estimator": Place("broker.cli.local.estimator:app", "Predictions, and how good the estimates were."),
    "ledger": Place("broker.cli.local.ledger:app", "The double-entry ledger."),
    "installation": Place("broker.cli.local.installation:app", "What all processes on one database share."),
    "storage": Place("broker.cli.local.storage:app", "Where files lie, and how they move."),
    "completion": Place(
        "broker.cli.completion:show_completion", "Print what has a shell complete commands, options and ids."
    ),
}
# Under which heading each stands in `broker --help`.
SECTIONS = {
    "A job, from its price to its adapter": (
        *("quote", "submit", "jobs", "logs", "metrics", "why", "quotes", "datasets", "adapters"),
        *("templates", "environments", "base-models"),
    ),
    "Who you are": ("login", "logout", "whoami", "keys", "customers", "projects", "secrets", "completion"),
    "What it costs": (
        *("balance", "report", "usage", "contracts", "grants", "purchases", "top-ups", "invoices", "fapiao"),
        *("payments", "refunds", "disputes", "arrears", "rate-cards", "webhooks"),
    ),
    "Finance": ("reports", "close-month", "vouchers", "chart", "stripe", "approvals"),
    "Operations": ("top", "queues", "pools", "drain", "announcements", "retention", "audit"),
    "The broker's own machine": (
        *("serve", "worker", "migrate", "demo", "admin-key", "models", "estimator", "ledger", "installation"),
        "storage",
    ),
}
SECTION_OF = {name: section for section, names in SECTIONS.items() for name in names}
JSON_FLAG = "--json"
VERSION_HELP = "Show which release this is, and end."
LANG_HELP = "The language to speak, anywhere in the line; default: locale's."
HELP_MODULE = "typer.rich_utils"
# What help and wrong command lines are framed with, by the names that Typer has for it.
FRAME_WORDS = {
    "ARGUMENTS_PANEL_TITLE": "Arguments",
    "OPTIONS_PANEL_TITLE": "Options",
    "COMMANDS_PANEL_TITLE": "Commands",
    "ERRORS_PANEL_TITLE": "Error",
    "ABORTED_TEXT": "Aborted.",
    "DEFAULT_STRING": "[default: {}]",
    "REQUIRED_LONG_STRING": "[required]",
    "RICH_HELP": "Try [blue]'{command_path} {help_option}'[/] for help.",
}


class RootGroup(DeferredGroup):
    """The parts of the command; one line and an exit code for every error."""

    places = COMMANDS

    def list_commands(self, ctx: Any) -> list[str]:
        """List the commands section by section, those of none last."""
        order = list(SECTION_OF)
        return sorted(super().list_commands(ctx), key=lambda name: order.index(name) if name in order else len(order))

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """Get a command, under the heading of its section."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and cmd_name in SECTION_OF:
            command.rich_help_panel = translate(SECTION_OF[cmd_name])
        return command

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Make the context, and read the options before the command."""
        with wording_usage():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Read what is typed behind the command, and run it."""
        with wording_usage():
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Format the help of the whole in the language of whoever reads; the group itself stays English."""
        told: list[Any] = [self, *self.get_params(ctx)]
        english: list[str] = [each.help or "" for each in told]
        for each, text in zip(told, english, strict=True):
            each.help = translate(text)
        super().format_help(ctx, formatter)
        for each, text in zip(told, english, strict=True):
            each.help = text

    def main(self, args: Sequence[str] | None = None, *_: Any, **settings: Any) -> Any:
        """Run the command and end the process with its exit code (`failures`)."""
        language, arguments = take_language(list(sys.argv[1:] if args is None else args))
        with speaking(language):
            outcome = self._run(arguments, language, settings)
        sys.exit(outcome if isinstance(outcome, int) else ExitCode.OK)

    def _run(self, arguments: list[str], language: str | None, settings: dict[str, Any]) -> Any:
        as_json = JSON_FLAG in arguments
        try:
            prepare_help(language)
            return super().main(arguments, **settings | {"standalone_mode": not as_json})
        except Exception as error:
            failure = explain_failure(error)
            if failure is None:
                raise
            if as_json:
                _tell(failure.problem)
            else:
                with suppress(BrokenPipeError):
                    sys.stderr.write(f"broker: {failure.line}\n")
            return failure.code


def prepare_help(language: str | None) -> None:
    """Have the frame of help say its words in the language of whoever reads. Raises: typer.BadParameter."""
    if language is not None and language not in LANGUAGES:
        told = say("{typed} is no language of ours; say en or zh", typed=repr(language))
        raise typer.BadParameter(told, param_hint="--lang")
    if not speaks_chinese() and HELP_MODULE not in sys.modules:
        return
    module = import_module(HELP_MODULE)
    for name, english in FRAME_WORDS.items():
        setattr(module, name, translate(english))


def _tell(problem: Any) -> None:
    sys.stderr.write(json.dumps(problem, ensure_ascii=False) + "\n")


app = typer.Typer(
    cls=RootGroup,
    no_args_is_help=True,
    help="LoRA Broker: quotes, queues, meters and bills LoRA training.",
    pretty_exceptions_enable=False,
)


def show_version(asked: bool) -> None:
    """Show which release this is, and end."""
    if asked:
        typer.echo(f"broker {import_module('broker').__version__}")
        raise typer.Exit


@app.callback()
def broker(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=show_version, help=VERSION_HELP)
    ] = False,
    _language: Annotated[
        str | None,
        typer.Option("--lang", metavar="en|zh", help=LANG_HELP),
    ] = None,
) -> None:
    """LoRA Broker: quotes, queues, meters and bills LoRA training."""


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
