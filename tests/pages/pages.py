"""The pages that there are, read off the console's routers: a new page is looked at as soon as it has a route."""

from collections.abc import Iterator
from dataclasses import dataclass

from broker.console.frame.page import LIVE, ConsoleRoute
from broker.console.routes import ROUTERS
from broker.http.edge import find_roles
from tests.broker.tenants import Tenant

ROLES = ("customer", "finance", "ops")
# What stands for a parameter of a path where the tenant's own attribute of that name is not meant.
PARAMETERS = {"job_id": "live_job_id", "name": "queue", "invoice_id": "credited_invoice_id"}
FIXED = {"position": 1}
# What is no page, though nothing in its address says so; and pages of what the house has none of.
NO_PAGES = frozenset({"/console/datasets/{dataset_id}/pictures/{number}"})
OF_WHAT_IS_NOT_THERE = frozenset({"/console/ops/what-if/{simulation_id}"})
# What a page needs in its query to be whole, with attributes of the tenant.
QUERIES = {
    "/console/jobs/compare": "ids={job_id},{live_job_id}",
    "/console/adapters/compare": "ids={adapter_id}",
    "/console/finance/plan-advice": "customer={customer_id}",
}
# What no row of a list matches, by the parameter that narrows it.
NOTHING = dict.fromkeys(("q", "search", "name", "serial"), "zzz-no-such-thing")


@dataclass(frozen=True)
class ConsolePage:
    """A page: the path of its route, whose it is, and the parameters of its query."""

    path: str
    role: str
    parameters: frozenset[str]

    @property
    def needs_something(self) -> bool:
        """Tell whether its address names something that a tenant has."""
        return "{" in f"{self.path}{QUERIES.get(self.path, '')}"

    @property
    def narrowed_by(self) -> str | None:
        """Name the parameter by which the page's list is narrowed to nothing; None where it has none."""
        return next((each for each in NOTHING if each in self.parameters), None)

    def can_be(self, state: str) -> bool:
        """Tell whether the page has such a state: what needs something is never empty, and few lists are narrowed."""
        if state == "never":
            return not self.needs_something
        return state != "none_match" or self.narrowed_by is not None

    def find_address(self, tenant: Tenant | None) -> str:
        """Find where the page is in the house of a tenant."""
        own = {} if tenant is None else dict(vars(tenant))
        own |= FIXED | {name: own[attribute] for name, attribute in PARAMETERS.items() if attribute in own}
        query = QUERIES.get(self.path)
        return (f"{self.path}?{query}" if query else self.path).format_map(own)

    def narrow(self, address: str) -> str:
        """Write the address at which the page's list has nothing."""
        name = self.narrowed_by
        assert name is not None
        return f"{address}{'&' if '?' in address else '?'}{name}={NOTHING[name]}"

    @property
    def file_name(self) -> str:
        return (
            self.path.removeprefix("/console").strip("/").replace("/", ".").replace("{", "").replace("}", "") or "home"
        )


def list_pages() -> Iterator[ConsolePage]:
    """List every page, but for streams, and files, whose last part has an extension or whose handler says so."""
    for router in ROUTERS:
        for route in router.routes:
            if not isinstance(route, ConsoleRoute) or "GET" not in route.methods:
                continue
            is_file = "." in route.path.rpartition("/")[2] or route.endpoint.__name__.startswith("download")
            if route.path in {LIVE, *NO_PAGES, *OF_WHAT_IS_NOT_THERE} or ":path}" in route.path or is_file:
                continue
            names = frozenset(field.alias for field in route.dependant.query_params)
            yield from (
                ConsolePage(route.path, role, names) for role in find_role(find_roles(route.dependant), route.path)
            )


def find_role(allowed: list[str], path: str) -> list[str]:
    """Find as whom a page is looked at: one of the roles that may, that which its address names where it names one."""
    if path == "/console/":
        return ["customer"]
    named = next((role for role in ROLES if path.startswith(f"/console/{role}")), None)
    return [named if named in allowed else next(role for role in ROLES if role in allowed)]
