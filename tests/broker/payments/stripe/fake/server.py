"""The fake Stripe on a loopback port: the real client talks to it. It honours keys, and fails as it is told.

A key replays its first answer, a saved 500 among them, for a day; another body under it is refused. Parameters are
checked against the client's own types before anything is done.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import RLock, Thread
from typing import Any
from urllib.parse import urlsplit

from stripe.params._account_retrieve_current_params import AccountRetrieveCurrentParams
from stripe.params._credit_note_create_params import CreditNoteCreateParams
from stripe.params._credit_note_list_params import CreditNoteListParams
from stripe.params._customer_create_params import CustomerCreateParams
from stripe.params._customer_list_params import CustomerListParams
from stripe.params._customer_search_params import CustomerSearchParams
from stripe.params._dispute_list_params import DisputeListParams
from stripe.params._dispute_retrieve_params import DisputeRetrieveParams
from stripe.params._invoice_add_lines_params import InvoiceAddLinesParams
from stripe.params._invoice_create_params import InvoiceCreateParams
from stripe.params._invoice_delete_params import InvoiceDeleteParams
from stripe.params._invoice_finalize_invoice_params import InvoiceFinalizeInvoiceParams
from stripe.params._invoice_list_params import InvoiceListParams
from stripe.params._invoice_pay_params import InvoicePayParams
from stripe.params._invoice_payment_list_params import InvoicePaymentListParams
from stripe.params._invoice_retrieve_params import InvoiceRetrieveParams
from stripe.params._invoice_void_invoice_params import InvoiceVoidInvoiceParams
from stripe.params._refund_create_params import RefundCreateParams
from stripe.params._refund_list_params import RefundListParams
from stripe.params._refund_retrieve_params import RefundRetrieveParams

from tests.broker.payments.stripe.fake.account import ACCOUNT_ID, Account, Body, Refused
from tests.broker.payments.stripe.fake.forms import read_form
from tests.broker.payments.stripe.fake.typed import BadParameter, check_params

API_KEY = "sk_test_51FakeKeyOfTheTests"
WEBHOOK_SECRET = "whsec_of_the_tests"
KEYS_LAST = timedelta(hours=24)


class Fault(StrEnum):
    """How a call goes wrong."""

    NO_ANSWER = "no answer, and nothing was done"
    DONE_NO_ANSWER = "done, and no answer"
    BROKEN = "500, and nothing was done"
    DONE_BROKEN = "done, and 500"
    BUSY = "429"
    CONFLICT = "409"


@dataclass(frozen=True)
class Call:
    """A call that came in, as it was answered."""

    method: str
    path: str
    params: Body
    key: str | None
    status: int
    replayed: bool = False


@dataclass(frozen=True)
class Saved:
    fingerprint: str
    status: int
    body: Body
    at: datetime


@dataclass
class FakeStripe:
    """The server's state. `faults` are used up one a call that fits; `before_call` and `after_call` may do something
    before a call is done, and after it, before it is answered.
    """

    account: Account
    url: str = ""
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    saved: dict[str, Saved] = field(default_factory=dict)
    before_call: Callable[[str, str], None] | None = None
    after_call: Callable[[str, str], None] | None = None
    lock: RLock = field(default_factory=RLock)

    def fail(self, path: str, *faults: Fault) -> None:
        """Have the next calls of paths that match a pattern go wrong, one after the other."""
        self.faults += [(path, fault) for fault in faults]

    def posts(self, path: str) -> list[Call]:
        """List the calls that changed something, of paths that match a pattern, replays among them."""
        return [call for call in self.calls if call.method == "POST" and re.fullmatch(path, call.path)]

    def take_fault(self, method: str, path: str) -> Fault | None:
        for place, (pattern, fault) in enumerate(self.faults):
            if method == "POST" and re.fullmatch(pattern, path):
                del self.faults[place]
                return fault
        return None

    def answer(self, method: str, target: str, body: str, key: str | None) -> tuple[int, Body] | None:
        """Answer a call; None: the connection is closed without an answer."""
        split = urlsplit(target)
        if self.before_call is not None:
            self.before_call(method, split.path)
        with self.lock:
            given = read_form(split.query if method in {"GET", "DELETE"} and split.query else body)
            status, answer, replayed, hangs_up = self._answer(method, split.path, given, key)
            self.calls.append(Call(method, split.path, given, key, status, replayed))
        if self.after_call is not None:
            self.after_call(method, split.path)
        return None if hangs_up else (status, answer)

    def _answer(self, method: str, path: str, given: Body, key: str | None) -> tuple[int, Body, bool, bool]:
        handler, ids, kind = find_route(method, path)
        fingerprint = json.dumps([method, path, given], sort_keys=True)
        saved = self.saved.get(key) if key is not None and method == "POST" else None
        if saved is not None and self.account.moment() - saved.at < KEYS_LAST:
            if saved.fingerprint != fingerprint:
                return (
                    400,
                    write_error("Keys for idempotent requests go with one body", "idempotency_error"),
                    False,
                    False,
                )
            return saved.status, saved.body, True, False
        try:
            params = check_params(given, kind)
        except BadParameter as fault:
            return 400, write_error(str(fault), "invalid_request_error", fault.code, fault.param), False, False
        fault = self.take_fault(method, path)
        if fault in {Fault.BUSY, Fault.CONFLICT}:
            return (
                (429 if fault == Fault.BUSY else 409),
                write_error("Not now", "api_error", "lock_timeout"),
                False,
                False,
            )
        if fault == Fault.NO_ANSWER:
            return 0, {}, False, True
        status, answer = self._perform(handler, ids, params, fault)
        if key is not None and method == "POST":
            self.saved[key] = Saved(fingerprint, status, json.loads(json.dumps(answer)), self.account.moment())
        return status, answer, False, fault == Fault.DONE_NO_ANSWER

    def _perform(self, handler: "Handler", ids: list[str], params: Body, fault: Fault | None) -> tuple[int, Body]:
        broken = (500, write_error("An unknown error occurred", "api_error"))
        if fault == Fault.BROKEN:
            return broken
        try:
            done = handler(self.account, ids, params)
        except Refused as refused:
            return refused.status, write_error(str(refused), "invalid_request_error", refused.code)
        return broken if fault == Fault.DONE_BROKEN else (200, json.loads(json.dumps(done)))


Handler = Callable[[Account, list[str], Body], Body]


def write_error(message: str, kind: str, code: str | None = None, param: str | None = None) -> Body:
    return {"error": {"message": message, "type": kind, "code": code, "param": param}}


def write_list(found: list[Body], params: Body, path: str) -> Body:
    """Write a page, the newest first as Stripe lists."""
    newest = sorted(found, key=lambda each: each["id"], reverse=True)
    if "starting_after" in params:
        newest = newest[[each["id"] for each in newest].index(params["starting_after"]) + 1 :]
    limit = params.get("limit", 10)
    return {"object": "list", "url": path, "data": newest[:limit], "has_more": len(newest) > limit}


def list_invoices(account: Account, _ids: list[str], params: Body) -> Body:
    since = params["created"]["gte"] if isinstance(params.get("created"), dict) else 0
    found = [
        each
        for each in account.invoices.values()
        if params.get("customer") in {None, each["customer"]}
        and params.get("status") in {None, each["status"]}
        and each["created"] >= since
    ]
    return write_list(found, params, "/v1/invoices")


def list_of(found: dict[str, Body], params: Body, path: str, *names: str) -> Body:
    wanted = {name: params[name] for name in names if name in params}
    fits = [each for each in found.values() if all(each.get(name) == value for name, value in wanted.items())]
    return write_list(fits, params, path)


def get_refund(account: Account, ids: list[str], _params: Body) -> Body:
    if ids[0] not in account.refunds:
        raise Refused("No such refund", "resource_missing", 404)
    return account.refunds[ids[0]]


ROUTES: list[tuple[str, str, Any, Handler]] = [
    ("GET", "/v1/account", AccountRetrieveCurrentParams, lambda _a, _i, _p: {"id": ACCOUNT_ID, "object": "account"}),
    ("POST", "/v1/customers", CustomerCreateParams, lambda a, _i, p: a.create_customer(p)),
    ("GET", "/v1/customers", CustomerListParams, lambda a, _i, p: list_of(a.customers, p, "/v1/customers")),
    (
        "GET",
        "/v1/customers/search",
        CustomerSearchParams,
        lambda a, _i, p: {"object": "search_result", "data": a.search_customers(p["query"]), "has_more": False},
    ),
    ("POST", "/v1/invoices", InvoiceCreateParams, lambda a, _i, p: a.create_invoice(p)),
    ("GET", "/v1/invoices", InvoiceListParams, list_invoices),
    ("GET", "/v1/invoices/(in_[0-9]+)", InvoiceRetrieveParams, lambda a, i, _p: a.get_invoice(i[0])),
    ("DELETE", "/v1/invoices/(in_[0-9]+)", InvoiceDeleteParams, lambda a, i, _p: a.delete(i[0])),
    (
        "POST",
        "/v1/invoices/(in_[0-9]+)/add_lines",
        InvoiceAddLinesParams,
        lambda a, i, p: a.add_lines(i[0], p["lines"]),
    ),
    ("POST", "/v1/invoices/(in_[0-9]+)/finalize", InvoiceFinalizeInvoiceParams, lambda a, i, _p: a.finalize(i[0])),
    ("POST", "/v1/invoices/(in_[0-9]+)/void", InvoiceVoidInvoiceParams, lambda a, i, _p: a.void(i[0])),
    ("POST", "/v1/invoices/(in_[0-9]+)/pay", InvoicePayParams, lambda a, i, _p: a.settle(i[0])),
    (
        "GET",
        "/v1/invoice_payments",
        InvoicePaymentListParams,
        lambda a, _i, p: list_of(a.payments, p, "/v1/invoice_payments", "invoice", "status"),
    ),
    ("POST", "/v1/credit_notes", CreditNoteCreateParams, lambda a, _i, p: a.create_credit_note(p)),
    (
        "GET",
        "/v1/credit_notes",
        CreditNoteListParams,
        lambda a, _i, p: list_of(a.credit_notes, p, "/v1/credit_notes", "invoice"),
    ),
    ("POST", "/v1/refunds", RefundCreateParams, lambda a, _i, p: a.create_refund(p)),
    ("GET", "/v1/refunds", RefundListParams, lambda a, _i, p: list_of(a.refunds, p, "/v1/refunds", "payment_intent")),
    ("GET", "/v1/refunds/(re_[0-9]+)", RefundRetrieveParams, get_refund),
    ("GET", "/v1/disputes", DisputeListParams, lambda a, _i, p: list_of(a.disputes, p, "/v1/disputes")),
    ("GET", "/v1/disputes/(dp_[0-9]+)", DisputeRetrieveParams, lambda a, i, _p: a.disputes[i[0]]),
]


def find_route(method: str, path: str) -> tuple[Handler, list[str], Any]:
    for each, pattern, kind, handler in ROUTES:
        match = re.fullmatch(pattern, path)
        if each == method and match:
            return handler, list(match.groups()), kind
    raise AssertionError(f"the fake Stripe knows no {method} {path}")


class Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body of an answer waits 40 ms for the client to acknowledge its head
    fake: FakeStripe

    def do_GET(self) -> None:
        self._respond()

    do_POST = do_DELETE = do_GET  # noqa: N815 (http.server names them so)

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.headers.get("Authorization") != f"Bearer {API_KEY}":
            self._send(401, write_error("Invalid API Key provided", "invalid_request_error"))
            return
        answer = self.fake.answer(self.command, self.path, body, self.headers.get("Idempotency-Key"))
        if answer is None:
            self.close_connection = True
            return
        self._send(*answer)

    def _send(self, status: int, answer: Body) -> None:
        written = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Request-Id", f"req_{len(self.fake.calls)}")
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def log_message(self, *_args: Any) -> None:
        """Say nothing: the calls are kept."""


@contextmanager
def run_fake_stripe(moment: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Iterator[FakeStripe]:
    """Run a server with an empty account until the block ends."""
    fake = FakeStripe(Account(moment))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnConnection", (Connection,), {"fake": fake}))
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
