"""The typed client and the API agree: every member that a type names is the API's, and every path is a route."""

import ast
import inspect
import re
from typing import Any

import pytest
from fastapi import FastAPI

from broker.client import typed
from broker.client.objects import arrears, contracts, jobs, operations, payments, quotes, simulations, values, webhooks

SCHEMA_OF = {
    "Money": "MoneyOut",
    "Seconds": "SecondsRange",
    "Hours": "HoursRange",
    "Moments": "ExpectedEndOut",
    "Estimate": "EstimateOut",
    "CoveredUnits": "CoveredUnitsOut",
    "PlanPrice": "PlanPriceOut",
    "JobPart": "JobPartOut",
    "MaxCostBuys": "MaxCostBuysOut",
    "QuotedFindings": "QuotedFindingsOut",
    "Quote": "QuoteOut",
    "ExpectedStart": "ExpectedStartOut",
    "QuotedType": "GpuTypeOut",
    "AcceptedType": "AcceptedTypeOut",
    "QuoteAnswer": "QuoteAnswerOut",
    "JobBatch": "JobBatchOut",
    "PendingReason": "PendingReasonOut",
    "Job": "JobOut",
    "JobEvent": "JobEventOut",
    "Loss": "LossOut",
    "Losses": "JobLossesOut",
    "Run": "RunOut",
    "JobAhead": "JobAheadOut",
    "JobsAhead": "JobsAheadOut",
    "JobWhy": "JobWhyOut",
    "Checkpoint": "CheckpointOut",
    "GrantScope": "ScopeOut",
    "Grant": "GrantOut",
    "Purchase": "PurchaseOut",
    "TopUp": "StandingTopUpOut",
    "UsageInterval": "UsageIntervalOut",
    "Usage": "UsageListOut",
    "Finding": "FindingOut",
    "FindingCounts": "FindingCountsOut",
    "RowCounts": "RowCountsOut",
    "RefusedRows": "RefusedRowsOut",
    "BaseModel": "BaseModelOut",
    "Dataset": "DatasetOut",
    "Picture": "PictureOut",
    "ChangedCaption": "ChangedCaptionOut",
    "CaptionEdit": "CaptionEditOut",
    "Adapter": "AdapterOut",
    "TierStep": "TierStepShape",
    "Tiers": "TiersShape",
    "PlanTerms": "PlanTermsShape",
    "RateCard": "RateCardOut",
    "JobDetail": "JobDetailOut",
    "LostWork": "LostWorkOut",
    "Contract": "ContractOut",
    "Balance": "BalanceOut",
    "Debt": "DebtOut",
    "Arrears": "ArrearsOut",
    "ArrearsChange": "ArrearsChangeOut",
    "ArrearsExtension": "ArrearsExtensionOut",
    "ArrearsWithHistory": "ArrearsWithHistoryOut",
    "PayTo": "PayToOut",
    "CustomerArrears": "CustomerArrearsOut",
    "NoticeContact": "ContactOut",
    "SentNotice": "SentNoticeOut",
    "WebhookEndpoint": "EndpointOut",
    "NewWebhookEndpoint": "NewEndpointOut",
    "Event": "EventOut",
    "WebhookDelivery": "DeliveryOut",
    "WebhookAttempt": "AttemptOut",
    "WebhookReplay": "ReplayOut",
    "Project": "ProjectOut",
    "Customer": "CustomerOut",
    "ApiKey": "ApiKeyOut",
    "LogLine": "LogLineOut",
    "Identity": "WhoAmIOut",
    "AuditEntry": "AuditEntryOut",
    "Changed": "ChangedOut",
    "ChangedJob": "TunedJobOut",
    "Comparison": "ComparisonOut",
    "ContractQuota": "TunedQuotaOut",
    "ContractStanding": "ContractStandingOut",
    "Effects": "TunedJobOut",
    "Stops": "TunedQueueOut",
    "Eviction": "EvictionOut",
    "GroupComparison": "GroupComparisonOut",
    "GuaranteedGpus": "GuaranteedGpusOut",
    "LaterStart": "LaterStartOut",
    "Maintenance": "MaintenanceOut",
    "Measures": "GroupMeasuresOut",
    "Node": "NodeOut",
    "Notice": "NoticeOut",
    "Overview": "OverviewOut",
    "Pair": "PairOut",
    "Pool": "TunedPoolOut",
    "PoolComparison": "PoolComparisonOut",
    "PoolMeasures": "PoolMeasuresOut",
    "PoolView": "PoolViewOut",
    "Queue": "TunedQueueOut",
    "QueueSettings": "QueueOut",
    "QueueSimulation": "SimulationOut",
    "QueueView": "QueueViewOut",
    "SoonerStart": "SoonerStartOut",
    "Standing": "StandingOut",
    "TypeStanding": "TypeStandingOut",
    "Undone": "UndoneOut",
    "Allocation": "AllocationOut",
    "Payment": "PaymentOut",
    "PaymentDetail": "PaymentDetailOut",
    "ImportedLine": "ImportedLineOut",
    "PaymentImport": "ImportOut",
    "Refund": "MoneyRefundOut",
    "Dispute": "DisputeOut",
}
CALLS = {
    "self.get",
    "self.get_whole",
    "self.post",
    "self.patch",
    "self.delete",
    "self.download",
    "self.post_files",
    "self.stream",
}
TYPES = {
    name: found
    for room in (arrears, contracts, jobs, operations, payments, quotes, simulations, values, webhooks)
    for name, found in vars(room).items()
    if inspect.isclass(found) and found.__module__ == room.__name__ and name != "Page"
}


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def test_every_type_stands_for_an_object_of_the_api() -> None:
    assert TYPES.keys() == SCHEMA_OF.keys()


@pytest.mark.parametrize("name", SCHEMA_OF)
def test_every_member_is_one_of_the_api_s(document: dict[str, Any], name: str) -> None:
    properties = document["components"]["schemas"][SCHEMA_OF[name]]["properties"]
    assert TYPES[name].__annotations__.keys() <= properties.keys()


def test_every_path_of_the_client_is_a_route(document: dict[str, Any]) -> None:
    known = {re.sub(r"\{\w+\}", "{}", path) for path in document["paths"]}
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(typed))) if isinstance(node, ast.Call)]
    spoken = {_write_path(call.args[0]) for call in calls if ast.unparse(call.func) in CALLS}
    paths = {f"/v1{path}" for path in spoken}
    assert len(paths) > 15
    assert paths <= known


def _write_path(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    assert isinstance(node, ast.Constant)
    return str(node.value)
