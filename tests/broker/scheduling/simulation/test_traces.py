"""Readers of traces: what a line says, in seconds, and what becomes of a line that says nothing sensible."""

import pytest

from broker.scheduling.simulation.csv_trace import CsvColumns, TimeColumn, TimeUnit, read_csv
from broker.scheduling.simulation.swf import read_swf
from broker.scheduling.simulation.trace import BadTrace, BrokenLine, TraceJob

HEADING = "job_id,num_gpu,submit_time,duration,ddl,model_name"
DEADLINES = CsvColumns(deadline=TimeColumn("ddl"), kind="model_name")


def swf(*, job="7", submit="30", run="100", given="4", asked="4", seconds="600", user="3"):
    return f"  {job} {submit} 5 {run} {given} -1 -1 {asked} {seconds} -1 1 {user} 2 -1 -1 -1 -1 -1"


def test_a_line_of_swf_is_a_job_in_seconds():
    trace = read_swf(["; Version: 2.2", "", swf()])
    assert trace.broken == ()
    assert trace.jobs == (TraceJob("7", 30, 100, 4, owner="3", asked_seconds=600),)


def test_unknown_values_of_swf_are_done_without():
    (job,) = read_swf([swf(asked="-1", given="8", seconds="-1")]).jobs
    assert (job.gpus, job.asked_seconds) == (8, None)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1 2 3", "has 3 of the 18 fields of a job"),
        (swf(run="-1"), "run time (field 4) must not be negative, and is '-1'"),
        (swf(run="nan"), "run time (field 4) must be a number, and is 'nan'"),
        (swf(submit="1e999"), "submit time (field 2) must be a number, and is '1e999'"),
        (swf(asked="0"), "processors asked (field 8) must be a whole number of at least 1, and is '0'"),
        (swf(asked="-1", given="-1"), "processors (field 5) must be a whole number of at least 1, and is '-1'"),
        (swf(asked="2.5"), "processors asked (field 8) must be a whole number of at least 1, and is '2.5'"),
        (swf(seconds="-7"), "time asked (field 9) must not be negative, and is '-7'"),
        ("\x00\x00", "has 1 of the 18 fields of a job"),
    ],
)
def test_a_broken_line_is_named_by_its_number_and_the_rest_goes_on(line, fault):
    trace = read_swf(["; a comment", swf(job="1"), line, swf(job="2")])
    assert trace.broken == (BrokenLine(3, fault),)
    assert [job.job_id for job in trace.jobs] == ["1", "2"]


def test_an_id_that_stands_twice_is_a_broken_line():
    trace = read_swf([swf(), swf(submit="90")])
    assert trace.broken == (BrokenLine(2, "job 7 stands on an earlier line already"),)


def test_jobs_come_in_order_of_submission_whatever_the_order_of_lines():
    trace = read_swf([swf(job="b", submit="9"), swf(job="a", submit="2"), swf(job="c", submit="9")])
    assert [job.job_id for job in trace.jobs] == ["a", "b", "c"]


def test_columns_and_units_of_csv_are_the_callers():
    columns = CsvColumns(TimeColumn("came", TimeUnit.MILLISECONDS), TimeColumn("took", TimeUnit.MINUTES), gpus="cards")
    trace = read_csv(["came,cards,took,else\n", '1500,8,2,"a, b"\n', "\n"], columns)
    assert trace.jobs == (TraceJob("line 2", 1.5, 120, 8),)


def test_an_empty_deadline_is_none_and_a_full_one_is_on_the_clock_of_submissions():
    trace = read_csv([HEADING, "1,2,0,50,,vgg16", "2,2,10,50,90,bert"], DEADLINES)
    assert [(job.deadline_at, job.kind) for job in trace.jobs] == [(None, "vgg16"), (90, "bert")]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1,2,0,50", "has 4 fields, and the heading has 6"),
        ("1,0,0,50,9,x", "num_gpu must be a whole number of at least 1, and is '0'"),
        ("1,,0,50,9,x", "num_gpu must be a number, and is ''"),
        ("1,2,soon,50,9,x", "submit_time must be a number, and is 'soon'"),
        ("1,2,0,-50,9,x", "duration must not be negative, and is '-50'"),
        ("1,2,0,50,inf,x", "ddl must be a number, and is 'inf'"),
        ("1,2,1e12,50,9,x", "submit_time must be at most 5,000 years, and is '1e12': is its unit right?"),
    ],
)
def test_a_broken_row_is_named_by_its_line_and_the_rest_goes_on(line, fault):
    trace = read_csv([HEADING, line, "2,2,0,50,9,x"], DEADLINES)
    assert trace.broken == (BrokenLine(2, fault),)
    assert [job.job_id for job in trace.jobs] == ["2"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "no heading"),
        (["a,b"], "it has a, b"),
        ([f"{HEADING},submit_time"], "has several columns 'submit_time'"),
        (["x" * 200_000], "has a heading that cannot be read"),
    ],
)
def test_a_file_without_the_columns_is_refused_and_tells_those_it_has(lines, told):
    with pytest.raises(BadTrace, match=told):
        read_csv(lines, DEADLINES)
