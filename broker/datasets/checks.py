"""The report of a job that has checked a data set: it takes the place of the upload's, which reads headers alone."""

from collections.abc import Iterable

from broker.datasets.findings import DatasetFinding, FindingReport
from broker.datasets.service import Dataset, write_finding
from broker.work import Work


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
