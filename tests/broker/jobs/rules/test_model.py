"""The state machines as tables: every pair is listed, so that a new state or arrow shows up here."""

from itertools import product

import pytest

from broker import errors
from broker.jobs.rules.model import (
    HOLDS_DEVICES,
    MOST_UNCOUNTED_ATTEMPTS,
    RUN_ENDS,
    TERMINAL,
    JobStatus,
    RunStatus,
    StopReason,
    check_job_transition,
    check_run_transition,
    decide_after_run,
    decide_cause,
    goes_first_after,
    is_counted,
)
from broker.ledger.books.causes import Cause

JOB_TABLE = """
from        queued dispatched running paused succeeded failed cancelled
queued      .      yes        .       yes    .         yes    yes
dispatched  yes    .          yes     yes    .         yes    yes
running     yes    .          .       yes    yes       yes    yes
paused      yes    .          .       .      .         .      yes
succeeded   .      .          .       .      .         .      .
failed      .      .          .       .      .         .      .
cancelled   .      .          .       .      .         .      .
"""
RUN_TABLE = """
from        starting running succeeded failed stopped preempted lost
starting    .        yes     .         yes    .       yes       yes
running     .        .       yes       yes    yes     yes       yes
succeeded   .        .       .         .      .       .         .
failed      .        .       .         .      .       .         .
stopped     .        .       .         .      .       .         .
preempted   .        .       .         .      .       .         .
lost        .        .       .         .      .       .         .
"""
# What becomes of a job: its run's outcome, the stop that was asked for, whether it may be tried again.
AFTER_RUN = """
outcome    stop            again      after
succeeded  none            yes        succeeded
succeeded  none            no         succeeded
succeeded  cancel          yes        succeeded
succeeded  cancel          no         succeeded
succeeded  pause           yes        succeeded
succeeded  pause           no         succeeded
succeeded  balance         yes        succeeded
succeeded  balance         no         succeeded
succeeded  budget          yes        succeeded
succeeded  contract_ended  yes        succeeded
succeeded  arrears         yes        succeeded
succeeded  limit           yes        succeeded
succeeded  preempt         yes        succeeded
succeeded  quota           yes        succeeded
succeeded  preempt         no         succeeded
succeeded  quota           no         succeeded
succeeded  budget          no         succeeded
succeeded  contract_ended  no         succeeded
succeeded  arrears         no         succeeded
succeeded  limit           no         succeeded
failed     none            yes        failed
failed     none            no         failed
failed     cancel          yes        cancelled
failed     cancel          no         cancelled
failed     pause           yes        failed
failed     pause           no         failed
failed     balance         yes        failed
failed     balance         no         failed
failed     budget          yes        failed
failed     contract_ended  yes        failed
failed     arrears         yes        failed
failed     limit           yes        failed
failed     preempt         yes        failed
failed     quota           yes        failed
failed     preempt         no         failed
failed     quota           no         failed
failed     budget          no         failed
failed     contract_ended  no         failed
failed     arrears         no         failed
failed     limit           no         failed
stopped    none            yes        queued
stopped    none            no         failed
stopped    cancel          yes        cancelled
stopped    cancel          no         cancelled
stopped    pause           yes        paused
stopped    pause           no         paused
stopped    balance         yes        paused
stopped    balance         no         paused
stopped    budget          yes        paused
stopped    contract_ended  yes        paused
stopped    arrears         yes        paused
stopped    limit           yes        paused
stopped    preempt         yes        queued
stopped    quota           yes        queued
stopped    preempt         no         queued
stopped    quota           no         queued
stopped    budget          no         paused
stopped    contract_ended  no         paused
stopped    arrears         no         paused
stopped    limit           no         paused
preempted  none            yes        queued
preempted  none            no         failed
preempted  cancel          yes        cancelled
preempted  cancel          no         cancelled
preempted  pause           yes        paused
preempted  pause           no         paused
preempted  balance         yes        paused
preempted  balance         no         paused
preempted  budget          yes        paused
preempted  contract_ended  yes        paused
preempted  arrears         yes        paused
preempted  limit           yes        paused
preempted  preempt         yes        queued
preempted  quota           yes        queued
preempted  preempt         no         queued
preempted  quota           no         queued
preempted  budget          no         paused
preempted  contract_ended  no         paused
preempted  arrears         no         paused
preempted  limit           no         paused
lost       none            yes        queued
lost       none            no         failed
lost       cancel          yes        cancelled
lost       cancel          no         cancelled
lost       pause           yes        paused
lost       pause           no         paused
lost       balance         yes        paused
lost       balance         no         paused
lost       budget          yes        paused
lost       contract_ended  yes        paused
lost       arrears         yes        paused
lost       limit           yes        paused
lost       preempt         yes        queued
lost       quota           yes        queued
lost       preempt         no         queued
lost       quota           no         queued
lost       budget          no         paused
lost       contract_ended  no         paused
lost       arrears         no         paused
lost       limit           no         paused
"""

# Why a run ended: its outcome, the stop that was asked for, whether a worker had claimed it, the code that it reported.
CAUSES = """
outcome    stop     claimed  code                cause
succeeded  none     yes      none                succeeded
succeeded  pause    yes      none                succeeded
stopped    cancel   yes      none                cancelled
stopped    pause    yes      none                paused
stopped    limit    yes      none                limit
stopped    balance  yes      none                balance
stopped    budget   yes      none                budget
stopped    contract_ended yes none               contract_ended
stopped    arrears        yes none               arrears
stopped    preempt  yes      none                preempted
stopped    quota    yes      none                quota
stopped    none     yes      none                internal_error
preempted  none     yes      none                preempted
preempted  pause    yes      none                paused
preempted  cancel   yes      none                cancelled
preempted  preempt  yes      none                preempted
failed     none     yes      bad_config          bad_config
failed     none     yes      bad_input           bad_input
failed     none     yes      checkpoint_unusable checkpoint_unusable
failed     none     yes      out_of_memory       out_of_memory
failed     none     yes      loss_not_finite     loss_not_finite
failed     none     yes      broker_refused      broker_refused
failed     none     yes      internal_error      internal_error
failed     none     yes      of_a_later_version  internal_error
failed     none     yes      succeeded           internal_error
failed     none     yes      machine_lost        internal_error
failed     none     yes      none                internal_error
failed     none     no       bad_config          bad_config
failed     pause    yes      out_of_memory       out_of_memory
failed     limit    yes      loss_not_finite     loss_not_finite
failed     cancel   yes      out_of_memory       cancelled
lost       none     yes      none                machine_lost
lost       none     no       none                launch_failed
lost       none     yes      node_down           node_down
lost       none     no       node_down           node_down
lost       cancel   yes      node_down           cancelled
lost       pause    yes      none                machine_lost
lost       limit    yes      none                machine_lost
lost       budget   yes      none                machine_lost
lost       balance  yes      none                machine_lost
lost       cancel   yes      none                cancelled
lost       cancel   no       none                cancelled
lost       preempt  yes      none                machine_lost
lost       preempt  no       none                preempted
lost       pause    no       none                paused
"""


def read_pairs(table: str) -> dict[tuple[str, str], bool]:
    header, *rows = [line.split() for line in table.strip().splitlines()]
    return {(row[0], name): cell == "yes" for row in rows for name, cell in zip(header[1:], row[1:], strict=True)}


JOB_PAIRS, RUN_PAIRS = read_pairs(JOB_TABLE), read_pairs(RUN_TABLE)
ENDINGS = [line.split() for line in AFTER_RUN.strip().splitlines()[1:]]


def test_tables_list_every_pair_and_every_ending() -> None:
    assert set(JOB_PAIRS) == set(product(JobStatus, JobStatus))
    assert set(RUN_PAIRS) == set(product(RunStatus, RunStatus))
    stops = ["none", *StopReason]
    assert sorted(row[:3] for row in ENDINGS) == sorted([*row] for row in product(RUN_ENDS, stops, ["yes", "no"]))


@pytest.mark.parametrize(("pair", "allowed"), JOB_PAIRS.items())
def test_job_goes_where_the_table_lets_it(pair: tuple[str, str], allowed: bool) -> None:
    before, after = JobStatus(pair[0]), JobStatus(pair[1])
    if allowed:
        check_job_transition("job_1", before, after)
        return
    with pytest.raises(errors.IllegalTransition, match=f"job_1 is {before}; from there it cannot become {after}"):
        check_job_transition("job_1", before, after)


@pytest.mark.parametrize(("pair", "allowed"), RUN_PAIRS.items())
def test_run_goes_where_the_table_lets_it(pair: tuple[str, str], allowed: bool) -> None:
    before, after = RunStatus(pair[0]), RunStatus(pair[1])
    if allowed:
        check_run_transition("run_1", before, after)
        return
    with pytest.raises(errors.IllegalTransition) as caught:
        check_run_transition("run_1", before, after)
    assert caught.value.fields == {"status_before": before, "status_after": after}


@pytest.mark.parametrize(("outcome", "stop", "again", "after"), ENDINGS)
def test_job_becomes_what_its_run_s_end_asks_for(outcome: str, stop: str, again: str, after: str) -> None:
    reason = None if stop == "none" else StopReason(stop)
    attempts = 2 if again == "yes" else 3
    decided = decide_after_run(RunStatus(outcome), reason, attempts=attempts, max_attempts=3)
    assert decided.status == after


@pytest.mark.parametrize(("code", "again"), [("broker_away", True), ("out_of_memory", False), (None, False)])
def test_only_a_failure_that_looks_transient_is_tried_again_and_not_for_ever(code: str | None, again: bool) -> None:
    ends = [
        decide_after_run(RunStatus.FAILED, None, attempts=attempts, max_attempts=3, error_code=code).status
        for attempts in (1, 2, 3)
    ]
    assert ends == (["queued", "queued", "failed"] if again else ["failed"] * 3)


@pytest.mark.parametrize(
    ("outcome", "stop", "claimed", "code", "cause"), [line.split() for line in CAUSES.strip().splitlines()[1:]]
)
def test_run_s_end_has_the_cause_that_decides_who_pays(
    outcome: str, stop: str, claimed: str, code: str, cause: str
) -> None:
    reason = None if stop == "none" else StopReason(stop)
    reported = None if code == "none" else code
    decided = decide_cause(RunStatus(outcome), reason, was_claimed=claimed == "yes", error_code=reported)
    assert decided == Cause(cause)


@pytest.mark.parametrize(("outcome", "stop"), [*product(sorted(RUN_ENDS), [None, *StopReason])])
def test_every_end_has_a_cause_that_ends_runs(outcome: RunStatus, stop: StopReason | None) -> None:
    for was_claimed in (True, False):
        assert decide_cause(outcome, stop, was_claimed=was_claimed) != Cause.OVER_PROMISE


@pytest.mark.parametrize("status", sorted(HOLDS_DEVICES))
@pytest.mark.parametrize(("outcome", "stop", "again", "after"), ENDINGS)
def test_every_ending_is_a_step_that_the_job_s_table_allows(
    status: JobStatus, outcome: str, stop: str, again: str, after: str
) -> None:
    run_before = RunStatus.STARTING if status == JobStatus.DISPATCHED else RunStatus.RUNNING
    if RUN_PAIRS[run_before, outcome]:
        assert JOB_PAIRS[status, after]


def test_ended_jobs_and_runs_stay_as_they_are() -> None:
    assert not any(allowed for (before, _), allowed in JOB_PAIRS.items() if before in TERMINAL)
    assert not any(allowed for (before, _), allowed in RUN_PAIRS.items() if before in RUN_ENDS)


def test_who_made_room_for_another_goes_on_however_often_and_not_before_it() -> None:
    assert not is_counted(Cause.PREEMPTED, uncounted=MOST_UNCOUNTED_ATTEMPTS, made_way=True)
    assert is_counted(Cause.PREEMPTED, uncounted=MOST_UNCOUNTED_ATTEMPTS)
    assert goes_first_after(Cause.PREEMPTED, None)
    assert not goes_first_after(Cause.PREEMPTED, StopReason.PREEMPT)
    assert not goes_first_after(Cause.MACHINE_LOST, StopReason.PREEMPT)
