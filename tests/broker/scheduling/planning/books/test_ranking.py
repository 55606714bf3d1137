"""A ranking that forgives stale entries keeps one of each member, however often that moves."""

from datetime import UTC, datetime

from broker.scheduling.planning.books.ranking import MOST_LEFT_OVER, Ranking
from broker.scheduling.planning.rules.order import Key

BEGAN = datetime(2026, 11, 10, 4, tzinfo=UTC)


class Member:
    """A class of jobs as a ranking sees it."""

    def __init__(self, name: str) -> None:
        self.name, self.share = name, 0

    def __lt__(self, other: object) -> bool:
        return False

    def find_key(self) -> Key | None:
        return None if self.share < 0 else (3, 0, self.share, BEGAN, self.name)


def enter(ranking: Ranking[Member], member: Member, share: int) -> None:
    member.share = share
    key = member.find_key()
    assert key is not None
    ranking.enter(key, member)


def test_entries_do_not_grow_with_the_moves_of_their_members() -> None:
    """A past fault: each move left an entry that was put right again and again; 3,000 waiting jobs took minutes."""
    ranking: Ranking[Member] = Ranking(Member.find_key, [])
    one, other = Member("one"), Member("other")
    for share in range(1, 200):
        enter(ranking, one, 2 * share % 7)
        enter(ranking, other, 3)
        one.share += 5
        first = ranking.find_first()
        assert first is not None
        assert first == min((member.find_key(), member) for member in (one, other))
    assert len(ranking.entries) <= MOST_LEFT_OVER + 4


def test_a_member_that_was_left_out_comes_back() -> None:
    ranking: Ranking[Member] = Ranking(Member.find_key, [])
    one = Member("one")
    enter(ranking, one, 1)
    one.share = -1
    assert ranking.find_first() is None
    enter(ranking, one, 5)
    assert ranking.find_first() == (one.find_key(), one)


def test_members_entered_together_stand_as_those_entered_one_after_the_other() -> None:
    members = [Member(str(number)) for number in range(40)]
    for share, member in enumerate(members):
        member.share = share * 7 % 40
    ranking: Ranking[Member] = Ranking(Member.find_key, [])
    for some in (members[:5], members[5:35], members[3:7], members[35:]):  # none before; more; known ones; fewer
        first = ranking.enter_all([((3, 0, each.share, BEGAN, each.name), each) for each in some])
        found = ranking.find_first()
        assert found is not None
        assert first == found[0] == min(member.find_key() for member in ranking.stands_at if member.find_key())
    in_order = []
    while (found := ranking.find_first()) is not None:
        in_order.append(found[1].share)
        found[1].share = -1
    assert in_order == list(range(40))
