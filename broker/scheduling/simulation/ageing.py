"""How a rank ages, so that no discipline starves a job. Pure.

A strict bound ("who waited this long goes first") turns an overload into first come, first served: one large job holds
up hundreds of small ones, which are overdue in turn. A rank that shrinks in proportion keeps the small ones in front,
and still falls below that of every newcomer in the end.
"""

# A job counts as if it took at least this long: otherwise a job of a second ages before anybody could look at it.
SHORTEST_SECONDS = 10


def age_rank(rank: float, age: float, length: float, aging_slowdown: float) -> float:
    """Age the rank of a job, smaller going first: above a slowdown of `aging_slowdown` it shrinks in proportion.

    Units: seconds since submission, and of work, for `age` and `length`. A job that has taken twice as many times its
    length as `aging_slowdown` says has half its rank.
    """
    slowdown = age / max(length, SHORTEST_SECONDS)
    return rank / max(slowdown / aging_slowdown, 1.0)
