"""`broker queues simulate`, from files on the command line to measures and faults."""

import gzip
import json

import pytest
from typer.testing import CliRunner

from broker.cli.main import app

SWF = "; comment\n1 0 -1 100 3 -1 -1 3 200 -1 1 7\n2 x -1 9 1 -1 -1 1 9 -1 1 7\n3 5 -1 50 1 -1 -1 9 60 -1 1 7\n"
CSV = "job_id,num_gpu,submit_time,duration,ddl\na,2,0,100000,100\nb,2,1000,50000,1e9\n"
ENDLESS = "job_id,num_gpu,submit_time,duration\na,2,0,1.5e11\nb,2,0,1.5e11\n"
IN_MILLISECONDS = ("--submit-unit", "ms", "--duration-unit", "ms", "--deadline-column", "ddl", "--deadline-unit", "s")


@pytest.fixture
def simulate(tmp_path):
    def run(text, *options, policy=None, compressed=False):
        trace, policy_file = tmp_path / "trace", tmp_path / "policy.yaml"
        data = text if isinstance(text, bytes) else text.encode()
        trace.write_bytes(gzip.compress(data) if compressed else data)
        if policy is not None:
            policy_file.write_text(policy)
            options = (*options, "--policy", str(policy_file))
        return CliRunner().invoke(app, ["queues", "simulate", "--trace", str(trace), *options])

    return run


def test_a_compressed_trace_is_measured_and_what_is_left_out_is_told(simulate):
    result = simulate(SWF, "--format", "swf", "--slots", "4", "--json", compressed=True)
    assert result.exit_code == 0, result.output
    measures = json.loads(result.stdout)
    assert list(measures) == [
        "jobs",
        "avg_bounded_slowdown",
        "avg_jct_s",
        "makespan_s",
        "p50_wait_s",
        "p99_wait_s",
        "max_slowdown",
        "utilisation",
        "deadline_met_ratio",
    ]
    assert (measures["jobs"], measures["makespan_s"], measures["deadline_met_ratio"]) == (1, 100, None)
    assert result.stderr.splitlines() == [
        "line 3 is left out: submit time (field 2) must be a number, and is 'x'",
        "job 3 is left out: it needs 9 GPUs, more than fit on an idle cluster of 4 (--slots)",
    ]


def test_columns_have_units_and_deadlines_one_of_their_own(simulate):
    result = simulate(CSV, "--format", "csv", "--slots", "2", "--json", *IN_MILLISECONDS)
    assert result.exit_code == 0, result.output
    measures = json.loads(result.stdout)
    assert (measures["makespan_s"], measures["deadline_met_ratio"], measures["avg_jct_s"]) == (150, 1, 124.5)


def test_people_read_a_table(simulate):
    result = simulate(CSV, "--format", "csv", "--slots", "2", policy="discipline: first-come")
    assert "deadline_met_ratio    no job has one" in result.stdout


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (SWF, ("--format", "swf", "--slots", "0"), "--slots"),
        (SWF, ("--format", "swf", "--slots", "2"), "every job is larger than the cluster"),
        (SWF, ("--format", "csv", "--slots", "4"), "has no column 'submit_time'"),
        (CSV, ("--format", "swf", "--slots", "4"), "has no job that could be read"),
        ("", ("--format", "swf", "--slots", "4"), "is --format what the file is?"),
        (b"\x1f\x8b broken", ("--format", "swf", "--slots", "4"), "is damaged"),
        (CSV, ("--format", "csv", "--slots", "4", "--estimates", "user"), "--asked-column"),
        (CSV, ("--format", "csv", "--slots", "4", "--submit-unit", "days"), "--submit-unit"),
        (CSV, ("--format", "csv", "--slots", "4", "--deadline-unit", "ms"), "--deadline-column"),
        (CSV, ("--format", "csv", "--slots", "1", "--gpus-column", "job_id"), "job_id must be a number"),
        (SWF, ("--format", "swf", "--slots", "4", "--submit-unit", "ms"), "swf has columns and units of its own"),
        (ENDLESS, ("--format", "csv", "--slots", "2"), "after the year 9999: are its units right?"),
    ],
)
def test_a_fault_names_the_option_and_the_cure(simulate, text, options, told):
    result = simulate(text, *options, "--json")
    assert result.exit_code == 2
    assert told.lower() in json.loads(result.stderr.splitlines()[-1])["detail"].lower()


TWICE = "discipline: fair\nbackfill: none\ndiscipline: first-come"


@pytest.mark.parametrize("policy", ["discipline: best", "[", "- fair", "\x00", TWICE])
def test_a_policy_that_is_none_names_its_file(simulate, policy):
    result = simulate(SWF, "--format", "swf", "--slots", "4", "--json", policy=policy)
    assert result.exit_code == 2
    assert "policy.yaml" in json.loads(result.stderr.splitlines()[-1])["detail"]
