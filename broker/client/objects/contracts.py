"""What is bought and by whom: customers, contracts, grants, purchases, rate cards."""

from typing import Literal, TypedDict

from broker.client.objects.values import Money, Stops


class ContractQuota(Stops):
    """What a contract is due beside others, and how much of it may run at one time; effects as with a queue."""

    contract_id: str
    weight: int
    max_gpus: int | None
    max_jobs: int | None
    reason: str
    updated_at: str


class GrantScope(TypedDict):
    """What usage a grant pays for."""

    meter: Literal["gpu_seconds", "tokens"]
    project_id: str | None
    gpu_type: str | None


class Grant(TypedDict):
    """A block of units paid ahead or given, and what is left of it."""

    id: str
    customer_id: str
    contract_id: str
    kind: str
    scope: GrantScope
    status: str
    quantity: int
    left: int
    held: int
    used: int
    gone: int
    gpu_hours: str | None
    left_gpu_hours: str | None
    used_percent: str | None
    left_percent: str | None
    days_left: str | None
    unit_price: str
    priority: int
    reason: str | None
    invoice_id: str | None
    effective_at: str
    expires_at: str | None
    created_at: str


class Purchase(TypedDict):
    """An order of hours or tokens under a contract."""

    id: str
    customer_id: str
    contract_id: str
    status: Literal["open", "paid", "cancelled", "expired"]
    automatic: bool
    grant_id: str
    invoice_id: str
    scope: GrantScope
    quantity: int
    gpu_hours: str | None
    unit_price: str
    total: Money
    expires_at: str
    created_at: str


class TopUp(TypedDict):
    """A rule by which a contract orders more by itself, and how the contract stands to it."""

    contract_id: str
    customer_id: str
    threshold_gpu_hours: int
    purchase_gpu_hours: int
    free_gpu_hours: str
    is_due: bool
    open_purchase_id: str | None


class TierStep(TypedDict):
    """A tier beyond the first: what a unit above a month's usage costs."""

    above: int
    price: str


class Tiers(TypedDict):
    """The tiers of a plan's meter beyond the first."""

    mode: Literal["flat", "graduated", "volume"]
    steps: list[TierStep]


class PlanTerms(TypedDict):
    """What one plan costs and gives on a rate card; `tiers` by meter, `gpu_hours` and `tokens`."""

    per_gpu_hour: str
    per_token: str
    minimum_commit_gpu_hours: int
    advance: bool
    queue: str
    tiers: dict[str, Tiers | None] | None


class RateCard(TypedDict):
    """Published prices of every plan, from a day on."""

    id: str
    version: str
    status: Literal["upcoming", "in_force", "superseded"]
    currency: str
    effective_from: str
    plans: dict[str, PlanTerms]
    gpu_multipliers: dict[str, str]
    published_at: str


class GuaranteedGpus(TypedDict):
    """GPUs of one type that a contract may always have; the price is of one for a billing month."""

    gpu_type: str
    gpus: int
    monthly_price: Money


class Contract(TypedDict):
    """What a customer has signed."""

    id: str
    customer_id: str
    plan: str
    committed_gpu_hours: int
    gpu_hour_price: str
    token_price: str
    rate_card: Literal["pinned", "newest"]
    rate_card_version: str
    queue: str
    overage: str
    quote_guarantee: Literal["pause", "cap"]
    monthly_budget: Money | None
    budget_hard_stop: bool
    credit_limit: Money | None
    contract_number: str
    purchase_order: str | None
    payment_days: int
    draft_working_days: int | None
    finalizes: Literal["by_hand", "automatic"] | None
    auto_renew: bool
    true_up: Literal["at_end", "yearly"]
    guaranteed_gpus: list[GuaranteedGpus]
    renewed_from_id: str | None
    status: Literal["upcoming", "active", "ended", "cancelled"]
    time_zone: str
    billing_day: int
    starts_at: str
    ends_at: str | None


class Balance(TypedDict):
    """What of a contract is available, held and used."""

    contract_id: str
    as_of: str
    granted_gpu_hours: str
    available_gpu_hours: str
    held_gpu_hours: str
    used_gpu_hours: str
    available_gpu_seconds: int
    held_gpu_seconds: int
    used_gpu_seconds: int
    granted_tokens: int
    available_tokens: int
    held_tokens: int
    used_tokens: int
    month: str
    monthly_budget: Money | None
    budget_left: Money | None
    held_money: Money
    used_money: Money


class Project(TypedDict):
    """A name under which a customer's jobs and adapters are kept together."""

    id: str
    customer_id: str
    name: str
    created_at: str


class Customer(TypedDict):
    """Who buys."""

    id: str
    name: str
    created_at: str


class ApiKey(TypedDict):
    """A key, without its secret."""

    id: str
    role: str
    name: str
    prefix: str
    expires_at: str | None
    last_used_at: str | None


class Identity(TypedDict):
    """Whose key it is, and what it may do."""

    role: Literal["customer", "finance", "ops", "admin"]
    customer: Customer | None
    api_key: ApiKey
    version: str
