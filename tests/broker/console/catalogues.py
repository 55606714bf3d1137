"""What the console says, collected from its code and templates, and what its catalogues say of that.

`python -m tests.broker.console.catalogues [frame customer finance ops]` adds to the catalogues what they lack, takes
out what nobody says any more, and lists what is still to be translated.
"""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.pofile import write_po
from jinja2.ext import babel_extract

import broker.console
from broker.console.frame.catalogue import DOMAINS, read_catalogue
from broker.http.problems import TITLE_OF

ROOT = Path(broker.console.__file__).parent
GROUPS = DOMAINS[1:]
KEYWORDS = {**DEFAULT_KEYWORDS, "N_": None}
OPTIONS = {
    "extensions": "jinja2.ext.i18n,jinja2.ext.do",
    "trim_blocks": "true",
    "newstyle_gettext": "true",
    "silent": "false",
}


def list_sources(domain: str) -> Iterator[Path]:
    """List the files that say what a domain keeps: those of a group, or for `frame` all others."""
    for path in sorted([*ROOT.rglob("*.py"), *ROOT.rglob("*.html")]):
        parts = [part.removesuffix(".html") for part in path.relative_to(ROOT).parts]
        if next((group for group in GROUPS if group in parts), "frame") == domain:
            yield path


@cache
def collect(domain: str) -> Catalog:
    """Collect every message of a domain; titles of problems are `frame`'s."""
    found = Catalog(domain=domain)
    for path in list_sources(domain):
        method = "python" if path.suffix == ".py" else babel_extract
        with path.open("rb") as source:
            for _line, message, comments, _context in extract(method, source, KEYWORDS, options=OPTIONS):
                if message:
                    found.add(message, auto_comments=comments)
    for title in TITLE_OF.values() if domain == "frame" else ():
        found.add(title)
    return found


def list_messages(catalogue: Catalog) -> dict[object, Message]:
    return {message.id: message for message in catalogue if message.id}


def find_faults(domain: str) -> list[str]:
    """Find what a catalogue lacks, what nobody says any more, and what is not surely right."""
    said, kept = list_messages(collect(domain)), list_messages(read_catalogue("zh", domain))
    faults = [f"missing: {each!r}" for each in said if each not in kept]
    faults += [f"not translated: {each!r}" for each, message in kept.items() if each in said and not _is_whole(message)]
    faults += [f"fuzzy: {each!r}" for each, message in kept.items() if message.fuzzy]
    faults += [f"unused: {each!r}" for each in kept if each not in said]
    faults += [f"{each!r}: {fault}" for each, message in kept.items() for fault in message.check()]
    return faults


def _is_whole(message: Message) -> bool:
    return all(message.string) if isinstance(message.string, tuple) else bool(message.string)


def renew(domain: str) -> None:
    """Bring a catalogue to what is said now; what is translated stays."""
    kept = list_messages(read_catalogue("zh", domain))
    renewed = Catalog(locale="zh", domain=domain)
    for each in collect(domain):
        if each.id:
            known = kept.get(each.id)
            renewed.add(each.id, known.string if known else None)
    with (ROOT / f"locales/zh/{domain}.po").open("wb") as out:
        out.write(b'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"Language: zh\\n"\n')
        out.write(b'"Plural-Forms: nplurals=1; plural=0;\\n"\n\n')
        write_po(out, renewed, width=120, omit_header=True, sort_output=True)


if __name__ == "__main__":
    for name in sys.argv[1:] or DOMAINS:
        renew(name)
        sys.stdout.writelines(f"{name}: {fault}\n" for fault in find_faults(name))
