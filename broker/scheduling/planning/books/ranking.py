"""A ranking that forgives stale entries: what has fallen behind since it was entered is put right when it is reached.

Keys of many change at once (each start makes all jobs of its contract wait longer), and few are ever looked at. So a
member is entered again only where it moves to the front; one that moves back is found out at the top.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Generic, Protocol, TypeVar

from broker.scheduling.planning.rules.order import Key

# So many entries that no longer count are left in a ranking before it is cleared of them.
MOST_LEFT_OVER = 16


class Ranked(Protocol):
    """What can stand in a ranking: it has no order of its own."""

    def __lt__(self, other: object) -> bool: ...


Member = TypeVar("Member", bound=Ranked)


class Ranking(Generic[Member]):
    """Members by key, the smallest first. `key_of` gives a member's present key; None: it is to be left out.

    Who is put back is noted in `fallen_behind`: a plan under way makes some fall behind for its own time only.
    """

    __slots__ = ("entries", "fallen_behind", "key_of", "stands_at")

    def __init__(self, key_of: Callable[[Member], Key | None], fallen_behind: list[object]) -> None:
        self.key_of = key_of
        self.fallen_behind = fallen_behind
        self.entries: list[tuple[Key, Member]] = []
        # The one entry of a member that counts, never behind its present key; its others are left over.
        self.stands_at: dict[Member, Key] = {}

    def enter(self, key: Key, member: Member) -> None:
        """Enter a member. It must be done whenever its key has become smaller."""
        if self._note(key, member):
            heappush(self.entries, (key, member))
            if len(self.entries) > MOST_LEFT_OVER + 2 * len(self.stands_at):
                self._put_in_order()

    def enter_all(self, entered: list[tuple[Key, Member]]) -> Key:
        """Enter some members, at least one and none twice; returns the first key of all, stale or not.

        Where they are as many as those that stand already, all are put in order at once, which compares less often.
        """
        if not self.stands_at:
            self.stands_at = {member: key for key, member in entered}
            self.entries = entered
            heapify(entered)
        elif len(entered) < len(self.stands_at):
            for key, member in entered:
                self.enter(key, member)
        else:
            for key, member in entered:
                self._note(key, member)
            self._put_in_order()
        return self.entries[0][0]

    def _note(self, key: Key, member: Member) -> bool:
        """Note where a member stands; tells whether that is news."""
        known = self.stands_at.get(member)
        if known is not None and known <= key:
            return False
        self.stands_at[member] = key
        return True

    def _put_in_order(self) -> None:
        """Put in order what counts, and nothing else."""
        self.entries[:] = [(at, each) for each, at in self.stands_at.items()]
        heapify(self.entries)

    def find_first(self) -> tuple[Key, Member] | None:
        """Find the member with the smallest key, putting right what is stale above it."""
        entries = self.entries
        while entries:
            entry = entries[0]
            if self.stands_at.get(entry[1]) != entry[0]:  # it was entered again further ahead
                heappop(entries)
                continue
            key = self.key_of(entry[1])
            if key == entry[0]:
                return entry
            if key is None:
                heappop(entries)
                del self.stands_at[entry[1]]
                continue
            if key > entry[0]:
                self.fallen_behind.append(entry[1])
            self.stands_at[entry[1]] = key
            heapreplace(entries, (key, entry[1]))
        return None
