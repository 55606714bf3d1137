"""A broker that collects by the fake Stripe: its settings, its relay, and events as Stripe would send them."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from broker.config import Settings
from broker.payments.model import RefundMethod
from broker.payments.port import PORTS
from broker.payments.stripe.client import StripeAccess, open_access
from broker.payments.stripe.refunds import StripeRefunds
from broker.payments.stripe.relay import StripeRelay
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.payments.stripe.fake.account import ACCOUNT_ID
from tests.broker.payments.stripe.fake.server import API_KEY, WEBHOOK_SECRET, FakeStripe, run_fake_stripe


@pytest.fixture
def stripe(clock: ManualClock) -> Iterator[FakeStripe]:
    with run_fake_stripe(clock) as fake:
        yield fake


@pytest.fixture(autouse=True)
def _set_up_refunds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have refunds go back by Stripe in these tests alone: the application sets that up for its whole process."""
    monkeypatch.setitem(PORTS, RefundMethod.STRIPE, StripeRefunds())


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory, stripe: FakeStripe) -> Settings:
    return Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        local_slots=0,
        stripe_api_key=SecretStr(API_KEY),
        stripe_account_id=ACCOUNT_ID,
        stripe_webhook_secret=SecretStr(WEBHOOK_SECRET),
        stripe_api_base=stripe.url,
    )


@pytest.fixture
def access(settings: Settings) -> Iterator[StripeAccess]:
    access = open_access(settings)
    assert access is not None
    yield access
    access.close()


@pytest.fixture
def relay(system: System, access: StripeAccess) -> StripeRelay:
    return StripeRelay(system, access)
