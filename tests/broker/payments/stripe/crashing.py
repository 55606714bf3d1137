"""Access to Stripe that dies with its process: before a question, or after it was answered and before that is noted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

import stripe

from broker.payments.stripe.client import StripeAccess

Answer = TypeVar("Answer")


class Killed(BaseException):
    """The process is gone: nothing catches this."""


class When(StrEnum):
    BEFORE = "before"
    AFTER = "after"


@dataclass
class Plan:
    """Which question is the last one, counted from 1; 0: none."""

    question: int = 0
    when: When = When.BEFORE
    asked: int = 0


@dataclass(frozen=True)
class CrashingAccess(StripeAccess):
    """Access as its process has it; the next process has another one."""

    plan: Plan = field(default_factory=Plan)

    async def ask(self, question: Callable[[stripe.StripeClient], Answer]) -> Answer:
        self.plan.asked += 1
        is_last = self.plan.asked == self.plan.question
        if is_last and self.plan.when == When.BEFORE:
            raise Killed
        answer = await super().ask(question)
        if is_last:
            raise Killed
        return answer
