"""What a shell completes an id with: the latest objects of its kind that begin so, each with what tells it apart."""

from collections.abc import Callable
from contextlib import suppress

import typer

from broker.cli.remote.connection import find_connection
from broker.cli.remote.ids import list_by_kind
from broker.client.errors import ClientError
from broker.client.typed import BrokerClient

# Whoever presses the key waits for it: no second try, and not long.
PATIENCE_SECONDS = 2.0
MOST_SHOWN = 20


def complete_ids(kind: str) -> Callable[[str], list[tuple[str, str]]]:
    """Make what completes ids of a kind, such as `job`; where the broker does not answer, nothing is offered."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        begun = incomplete if incomplete.startswith(f"{kind}_") else f"{kind}_{incomplete}"
        prefix = begun if incomplete and not f"{kind}_".startswith(incomplete) else None
        with suppress(ClientError, typer.BadParameter):
            found = find_connection(None, None)
            with BrokerClient(found.url, found.api_key, PATIENCE_SECONDS, retry_pauses=()) as client:
                page = list_by_kind(client)[kind](id_prefix=prefix, limit=MOST_SHOWN)
            return [(each["id"], str(each.get("name") or each.get("status") or "")) for each in page["data"]]
        return []

    return complete
