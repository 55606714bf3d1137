"""Requests that nobody thought of: schemathesis makes them from the API's own document, and holds the answers to it."""

import time
from collections.abc import Iterator

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from broker.http.openapi import make_workers_openapi
from tests.broker.served import ServedBroker
from tests.conftest import FolderMaker

# A piece of a file is what it is.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
# Half of the minute that it may take in `make test`; on a busy machine the last operations are asked less.
MOST_SECONDS = 40.0
EXAMPLES = 3
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Its answer is no problem where a part of the service is away, as it may be here.
NOT_ASKED = {("GET", "/readyz"), ("GET", "/metrics"), ("POST", "/v1/webhooks/stripe")}


@pytest.fixture(scope="module")
def broker(server_folders: FolderMaker) -> Iterator[ServedBroker]:
    with server_folders() as folder:
        served = ServedBroker(folder / "var", {"local_slots": "0"})
        served.start()
        yield served
        served.close()


def test_both_documents_are_valid_openapi(routed_app: FastAPI) -> None:
    validate(routed_app.openapi())
    validate(make_workers_openapi(routed_app))


@pytest.mark.slow  # some hundred requests to a served broker
def test_no_request_that_the_document_allows_or_not_is_answered_otherwise(
    broker: ServedBroker, routed_app: FastAPI
) -> None:
    """Each operation is asked as staff, the same requests each time; every failure is told at the end."""
    schema = schemathesis.openapi.from_dict(routed_app.openapi())
    headers, until = {"Authorization": f"Bearer {broker.admin_key()}"}, time.monotonic() + MOST_SECONDS
    faults, asked = [], 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if (operation.method.upper(), operation.path) in NOT_ASKED:
            continue
        if time.monotonic() > until:
            break

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(base_url=broker.url, headers=headers, checks=CHECKS, timeout=30)

        try:
            ask()
        except (Exception, FailureGroup) as fault:  # noqa: BLE001 (whatever it is, the others are asked, too)
            faults.append(f"{operation.label}: {fault!r}")
        asked += 1
    assert faults == [], "\n\n".join(faults)
    assert asked >= 40
