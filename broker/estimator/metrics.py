"""The estimator's metrics for Prometheus, as of its last reading of the database."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from broker.estimator.watch import AccuracyReading


class EstimatorCollector(Collector):
    """Collects the last reading, once there is one. A share of no runs is left out: zero would raise an alarm."""

    def __init__(self, reading: AccuracyReading) -> None:
        self.reading = reading

    def collect(self) -> Iterator[GaugeMetricFamily]:
        reading, accuracy = self.reading, self.reading.accuracy
        if reading.judged is None:
            return
        yield GaugeMetricFamily(
            "broker_estimator_calibration_version",
            "Newest calibration of the estimator; 0: published figures alone.",
            reading.calibration,
        )
        yield GaugeMetricFamily(
            "broker_estimator_judged_runs",
            "Latest runs that the estimates are judged by.",
            accuracy.runs if accuracy else 0,
        )
        changed = GaugeMetricFamily(
            "broker_estimator_change_ratio",
            "How many times as long runs on a GPU type take since it was found to have changed.",
            labels=["gpu_type"],
        )
        for gpu, change in reading.changes.items():
            changed.add_metric([gpu], change.factor)
        yield changed
        coverage = GaugeMetricFamily(
            "broker_estimator_coverage_ratio",
            "Share of the judged runs that stayed at or below the quantile of their estimate.",
            labels=["quantile"],
        )
        if accuracy is not None:
            coverage.add_metric(["0.5"], accuracy.p50.share)
            coverage.add_metric(["0.9"], accuracy.p90.share)
        yield coverage
        yield GaugeMetricFamily(
            "broker_estimator_median_absolute_error_ratio",
            "Median of |estimate at p50 - actual| / actual of the judged runs.",
            None if accuracy is None else accuracy.median_error,
        )
