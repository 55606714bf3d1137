"""The menu of the console: each group lists its pages, and a person sees those that its role may open."""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.work import Role


def N_(words: str) -> str:  # noqa: N802 (the name by which catalogues are collected)
    """Mark words that a template translates when they are shown."""
    return words


ROLE_NAMES = {
    Role.CUSTOMER: N_("customer"),
    Role.FINANCE: N_("finance"),
    Role.OPS: N_("ops"),
    Role.ADMIN: N_("administrator"),
}


@dataclass(frozen=True)
class MenuItem:
    """A page of the menu: its address, its name, and the letter that goes there after `g`."""

    path: str
    name: str
    letter: str


@dataclass(frozen=True)
class MenuGroup:
    """The pages of one group of people. An administrator sees those of all staff."""

    name: str
    roles: frozenset[Role]
    items: tuple[MenuItem, ...]


def list_groups(menu: Sequence[MenuGroup], role: Role) -> list[MenuGroup]:
    """List the groups of the menu that a role sees."""
    return [group for group in menu if role in group.roles]


def is_open(item_path: str, path: str) -> bool:
    """Tell whether a page of the menu is open: the very page, or one below it."""
    return path == item_path or (item_path != "/console/" and path.startswith(f"{item_path}/"))
