"""The report of a job that has checked a data set: it takes the place of the upload's, which reads headers alone."""

from collections.abc import Collection, Iterable

from sqlalchemy import ARRAY, Text, any_, bindparam, select

from broker.datasets.findings import DatasetFinding, FindingReport
from broker.datasets.service import Dataset, write_finding
from broker.persistence.driver import Command, Statement
from broker.persistence.tenancy import SEEN_BY, is_seen
from broker.work import Work, list_seen, run_for_all

CHECKERS = Statement(
    select(Dataset.checked_run_id).where(
        Dataset.checked_job_id == any_(bindparam("job_ids", type_=ARRAY(Text))), is_seen(Dataset.customer_id)
    )
)


def keep_report(
    work: Work, dataset: Dataset, findings: Iterable[DatasetFinding], *, job_id: str, run_id: str
) -> FindingReport:
    """Keep what a check has found; what the upload told of files that are not kept stays told."""
    kept = {file["name"] for file in dataset.files}
    report = FindingReport()
    report.extend(DatasetFinding(**each) for each in dataset.findings if each["file"] and each["file"] not in kept)
    report.extend(findings)
    dataset.findings = [write_finding(finding) for finding in report.first]
    dataset.finding_counts = report.counts
    dataset.checked_at, dataset.checked_job_id, dataset.checked_run_id = work.now, job_id, run_id
    return report


async def list_checkers(works: Collection[Work], job_ids: Collection[str]) -> set[str]:
    """List the runs that checked for these jobs, asked by units of work of one transaction."""
    asked = {"job_ids": list(job_ids), SEEN_BY.key: list_seen(works)}
    (found,) = await run_for_all(works, [Command(CHECKERS, asked)])
    return {run_id for (run_id,) in found}
