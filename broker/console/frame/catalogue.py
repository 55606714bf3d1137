"""The words of pages in other languages: catalogues that people edit, read when the service starts."""

from functools import cache
from gettext import NullTranslations
from importlib.resources import files
from io import BytesIO

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

from broker.http.languages import Language

DOMAINS = ("frame", "customer", "finance", "ops")


@cache
def load_translations(language: Language, own: str) -> NullTranslations:
    """Load what all domains say in a language, where they differ as `own` says; English is what the words are."""
    if language == "en":
        return NullTranslations()
    joined = Translations()
    for domain in sorted(DOMAINS, key=own.__eq__):
        compiled = BytesIO()
        write_mo(compiled, read_catalogue(language, domain))
        compiled.seek(0)
        read = Translations(compiled, domain)
        joined.merge(read)
        joined.plural = read.plural  # else two of a thing are told in English
    return joined


def read_catalogue(language: Language, domain: str) -> Catalog:
    """Read one catalogue as it is kept."""
    with files("broker.console").joinpath(f"locales/{language}/{domain}.po").open("rb") as kept:
        return read_po(kept, locale=language, domain=domain, abort_invalid=True)
