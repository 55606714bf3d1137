"""The check of one assignment: fetch the data set, judge it as `trainer check` does, and write the report."""

import json
from pathlib import Path

from pricing.training.check_config import parse_check_config
from trainer.checking.check import load_clip_counter
from trainer.checking.image_report import check_images
from trainer.checking.text_report import check_text
from trainer.data.quality_report import QualityReport
from trainer.data.quality_samples import has_pictures
from trainer.log import write_line
from trainer.protocol.checkpoint_uploads import unpack_folder
from trainer.protocol.client import BrokerClient, RunAssignment
from trainer.protocol.heartbeat import Heartbeat
from trainer.protocol.retry import keep_trying


def check_assignment(client: BrokerClient, assignment: RunAssignment, work_dir: Path, heartbeat: Heartbeat) -> Path:
    """Fetch the data set and check it; returns the file of the report. Raises: TrainerError, ConfigInvalid."""
    config = parse_check_config(assignment.config)
    dataset, archive = work_dir / "dataset", work_dir / "dataset.tar"
    keep_trying(lambda: client.download(assignment.dataset, archive))
    unpack_folder(archive, dataset)
    heartbeat.progress = {"step": 0, "total_steps": 1}
    if has_pictures(dataset):
        report = check_images(dataset, None, load_clip_counter(), default_caption=config.default_caption)
    else:
        report = check_text(dataset, None)
    heartbeat.progress = {"step": 1, "total_steps": 1}
    write_line(f"checked: {report.counts.describe()}")
    return write_report(report, work_dir / "output" / "report.json")


def write_report(report: QualityReport, file: Path) -> Path:
    """Write the report as the broker takes it."""
    findings = [
        {"file": each.file, "line": each.line, "level": each.level.value, "message": each.message, "cure": each.cure}
        for each in report.findings
    ]
    figures = {name: value for name, value in report.figures.items() if isinstance(value, int)}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"figures": figures, "findings": findings}, ensure_ascii=False), encoding="utf-8")
    return file
