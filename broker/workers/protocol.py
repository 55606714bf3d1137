"""Which worker protocol this broker speaks, and what it says to a trainer that speaks another."""

from typing import Annotated

from fastapi import Header

from broker import errors

# Raised where a worker of before could not go on: a new field that it may leave out raises nothing.
PROTOCOL, OLDEST_PROTOCOL = 1, 1

SpokenProtocol = Annotated[
    int,
    Header(
        alias="X-Worker-Protocol",
        ge=1,
        le=1_000_000,
        description="The worker protocol that the trainer speaks; trainers of before say nothing, and speak 1.",
        examples=[1],
    ),
]


def check_protocol(spoken: int) -> None:
    """Refuse a trainer with which this broker cannot speak; its run is started elsewhere. Raises: ProtocolMismatch."""
    if OLDEST_PROTOCOL <= spoken <= PROTOCOL:
        return
    older, newer = ("the trainer", "the broker") if spoken < OLDEST_PROTOCOL else ("the broker", "the trainer")
    raise errors.ProtocolMismatch(
        f"The trainer speaks worker protocol {spoken}, this broker {OLDEST_PROTOCOL} to {PROTOCOL}: {older} is older"
        f" than {newer}; install the release of {newer} for {older}, too.",
        spoken=spoken,
        oldest=OLDEST_PROTOCOL,
        newest=PROTOCOL,
    )
