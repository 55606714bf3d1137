"""Watching the accuracy of estimates: judged anew when jobs have finished, and logged when p90 goes wrong."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from broker.calibrations.service import find_newest_version, get_calibration
from broker.estimator.accuracy import LATEST_JUDGED, judge_estimates
from broker.jobs.reading import history
from broker.jobs.reading.history import JudgedState
from broker.system import System
from pricing.calibration.accuracy import Accuracy
from pricing.calibration.change import Change
from pricing.calibration.coverage import P90_BAND, BandState

log = logging.getLogger(__name__)

LOOKS_TO_COUNT = 20
OUTSIDE = frozenset({BandState.BELOW, BandState.ABOVE})
MEANING = {BandState.BELOW: "too many runs take longer than quoted", BandState.ABOVE: "quotes are wider than need be"}


@dataclass
class AccuracyReading:
    """The accuracy of estimates as last read: every process judges the same jobs, so that all say the same.

    `calibration` is the newest version; 0: published figures only. `changes` are the GPU types that it found changed.
    """

    judged: JudgedState | None = None
    calibration: int = 0
    changes: Mapping[str, Change] = field(default_factory=dict)
    accuracy: Accuracy | None = None
    seen_event: int = 0
    looks: int = 0

    async def refresh(self, system: System) -> None:
        """Judge the estimates anew if there is something new to judge.

        Jobs are counted where a run has ended since the last look, and now and then: of two transactions the one that
        began first may be the last to show its event.
        """
        async with system.work() as work:
            newest = await find_newest_version(work)
            self.calibration = newest or 0
            self.changes = (await get_calibration(work, newest)).changes
            news = await history.read_news(work, self.seen_event)
            self.seen_event, self.looks = news.latest_event, self.looks + 1
            if self.judged is not None and not news.has_ends and self.looks % LOOKS_TO_COUNT:
                return
            state = await history.read_judged_state(work)
            if state == self.judged:
                return
            judged = await judge_estimates(work, latest=LATEST_JUDGED)
        self.judged = state
        self.accuracy = judged.overall if judged else None


@dataclass
class AccuracyWatch:
    """Logs when the coverage of p90 leaves its band, and when it is back."""

    reading: AccuracyReading = field(default_factory=AccuracyReading)
    band: BandState = BandState.UNJUDGED

    async def refresh(self, system: System) -> None:
        await self.reading.refresh(system)
        if self.reading.accuracy is not None:
            self._tell_change(self.reading.accuracy)

    def _tell_change(self, accuracy: Accuracy) -> None:
        before, self.band = self.band, accuracy.band
        if self.band == before or (self.band not in OUTSIDE and before not in OUTSIDE):
            return
        lower, upper = P90_BAND
        log.warning(
            "p90 of estimates covers %.1f %% of the last %s runs, %s its band of %.0f to %.0f %%%s",
            100 * accuracy.p90.share,
            accuracy.runs,
            "outside" if self.band in OUTSIDE else "within",
            100 * lower,
            100 * upper,
            f": {MEANING[self.band]}; see `broker estimator report`" if self.band in OUTSIDE else " again",
        )
