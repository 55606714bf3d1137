"""What a change of a queue, a pool, a contract or a job does to jobs, in sentences. Pure."""

from typing import cast

from broker.cli.output import one_line
from broker.cli.texts.values import describe_count
from broker.cli.words import say
from broker.client.objects.values import Effects, Stops

MOST_NAMED = 5


def describe_effects(changed: Effects | Stops) -> list[str]:
    """Describe whom a change lets start, whom it strands, and who stops for it; a broker of before tells none."""
    freed, frees = changed.get("freed_job_ids", []), changed.get("frees", 0)
    stopping = cast("Stops", changed).get("stopping", [])  # none but changes of limits have any
    told = [say("Warning: {message}", message=one_line(warning["message"])) for warning in changed.get("warnings", [])]
    if stopping:
        told.append(
            say("Beyond the lowered limit, these save and wait again: {stopping}.", stopping=", ".join(stopping))
        )
    if frees:
        named = ", ".join(freed[:MOST_NAMED]) + (", …" if frees > MOST_NAMED else "")
        told.append(say("{frees} can start now: {named}.", frees=describe_count(frees, "waiting job"), named=named))
    return told
