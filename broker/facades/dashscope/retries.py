"""What a client sends again by itself: DashScope's second generation does so, and does not say it."""

from datetime import timedelta

from fastapi import Request

from broker.facades.asking import find_order_key_of, make_digest

CLIENT, SESSION = "x-dashscope-sdk-client", "x-dashscope-sdk-session-id"
SECOND_GENERATION = "2"  # behind the name of its module
# It waits for eight seconds at most between two tries, and tries three times.
SENT_AGAIN_WITHIN = timedelta(seconds=60)


def may_be_sent_again(request: Request) -> bool:
    """Tell whether a request comes from a program that sends again what got no answer, and which program it is."""
    sender = request.headers.get(CLIENT, "")
    return sender.endswith(SECOND_GENERATION) and SESSION in request.headers


async def find_key(request: Request, digest: str, *, is_new: bool = False) -> str:
    """Find the idempotency key of an order: of equal ones of one program within a minute that of the first.

    `is_new`: it is known to be another order, and what is sent again from now on is a repeat of this one.
    """
    if not may_be_sent_again(request):
        return await find_order_key_of(request, digest, is_repeated=False)
    session = make_digest(request.headers[SESSION].encode(), digest.encode())
    return await find_order_key_of(request, session, is_repeated=not is_new, within=SENT_AGAIN_WITHIN)
