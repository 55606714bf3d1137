"""The known name that somebody may have meant by one that is not known. Pure."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

CLOSE_ENOUGH = 0.6
FEWEST_BEGUN = 3
# A name longer than every known one is compared by its beginning: what is sent may be of any length.
MOST_COMPARED = 100
PARTS = re.compile(r"[ _-]+")


def find_near(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that is nearest to one that is not known: the shortest that begins with it, or else looks
    like it; None where none is near.
    """
    by_spelling = {_spell(each): each for each in known}
    written = _spell(name)[:MOST_COMPARED]
    begun = [each for each in by_spelling if len(written) >= FEWEST_BEGUN and each.startswith(written)]
    near = begun or get_close_matches(written, list(by_spelling), n=1, cutoff=CLOSE_ENOUGH)
    return by_spelling[min(near, key=len)] if near else None


def _spell(name: str) -> str:
    """Spell a name as names are compared: small letters, and a dash for whatever parts its words."""
    return "-".join(PARTS.split(name.casefold()))


def suggest(name: str, known: Iterable[str]) -> str:
    """Write `did you mean …?` where a known name is near, with what goes before it; empty where none is."""
    near = find_near(name, known)
    return "" if near is None else f"did you mean {near}? "


def suggest_owner(name: str, owners: Mapping[str, str]) -> str:
    """Write the question where a spelling is near, by the name of whose it is."""
    near = find_near(name, owners)
    return "" if near is None else f"did you mean {owners[near]}? "
