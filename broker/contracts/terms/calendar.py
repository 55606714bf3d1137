"""The billing months of a contract, also where an amendment gives it another billing day or time zone. Pure.

Such a change begins with a billing month. That month begins where the old rule has it and ends where the new one has
its end, so it is longer or shorter than others, and months neither overlap nor leave a gap (decision 0038).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from broker.clock import billing_month, month_start, next_month
from broker.contracts.terms.changes import TermsChange


@dataclass(frozen=True)
class MonthRule:
    """A time zone, and the day of a month on which billing months begin there."""

    time_zone: str
    billing_day: int

    def find_month(self, moment: datetime) -> str:
        return billing_month(moment, self.time_zone, self.billing_day)

    def start(self, month: str) -> datetime:
        return month_start(month, self.time_zone, self.billing_day)


@dataclass(frozen=True)
class Cut:
    """The first month that ends by another rule, the moment at which it begins, and the rule."""

    month: str
    begins_at: datetime
    rule: MonthRule


@dataclass(frozen=True)
class BillingCalendar:
    """The months of one contract: by its first rule, and after each cut by that one's."""

    first: MonthRule
    cuts: tuple[Cut, ...] = ()

    def find_month(self, moment: datetime) -> str:
        """Find the billing month ("2026-11") that a moment falls into."""
        cut = next((each for each in reversed(self.cuts) if each.begins_at <= moment), None)
        return self.first.find_month(moment) if cut is None else max(cut.month, cut.rule.find_month(moment))

    def start(self, month: str) -> datetime:
        """Compute the first moment (UTC) of a billing month."""
        cut = next((each for each in reversed(self.cuts) if each.month < month), None)
        return (self.first if cut is None else cut.rule).start(month)

    def end(self, month: str) -> datetime:
        """Compute the first moment (UTC) after a billing month."""
        return self.start(next_month(month))

    def whole_end(self, month: str) -> datetime:
        """Compute when a month would end by the rule by which it begins: where no cut makes it longer or shorter."""
        cut = next((each for each in reversed(self.cuts) if each.month < month), None)
        return (self.first if cut is None else cut.rule).start(next_month(month))

    def with_rule(self, rule: MonthRule, moment: datetime) -> "BillingCalendar":
        """Let months that begin after a moment begin by another rule."""
        cut = Cut(self.find_month(moment), moment, rule)
        return BillingCalendar(self.first, (*self.cuts, cut))


def make_calendar(rule: MonthRule, changes: Sequence[TermsChange]) -> BillingCalendar:
    """Make the calendar of a contract: by this rule where nothing was changed, else by those of its changes."""
    if not changes:
        return BillingCalendar(rule)
    rule = _find_rule(rule, changes[0])
    calendar = BillingCalendar(rule)
    for change in changes[1:]:
        following = _find_rule(rule, change)
        if following != rule:
            calendar, rule = calendar.with_rule(following, change.effective_at), following
    return calendar


def _find_rule(rule: MonthRule, change: TermsChange) -> MonthRule:
    return MonthRule(change.values.get("time_zone", rule.time_zone), change.values.get("billing_day", rule.billing_day))
