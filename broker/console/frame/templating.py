"""Templates, an environment for each language and group of pages: it has their words and their way to write numbers."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from broker.console.frame.catalogue import load_translations
from broker.console.frame.files import link_file
from broker.console.frame.formats import DASH, Formats
from broker.console.frame.menu import is_open
from broker.console.frame.sentences import load_sentences
from broker.console.frame.words import name_code
from broker.http.languages import Language

# Macros that every template calls by name, without an import: the parts of pages that are sent alone see them, too.
# A macro finds those of the files before its own.
MACROS = ("page", "panel", "form", "table", "chart", "ops", "finance")


@cache
def load_environment(language: Language, time_zone: str, domain: str = "frame") -> Environment:
    """Load the environment of a language; a name that a page does not give is an error, never an empty place.

    `domain`: whose pages are shown, which have their own way to say some words.
    """
    environment = Environment(
        loader=PackageLoader("broker.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    translations = load_translations(language, domain)
    environment.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    environment.filters.update(Formats(language, time_zone).list_filters())
    environment.filters["words"] = lambda code: translations.gettext(name_code(str(code)))
    environment.filters["sentence"] = load_sentences(language).say
    environment.globals.update(static=link_file, DASH=DASH, language=language, is_open=is_open)
    for name in MACROS:
        module = environment.get_template(f"macros/{name}.html").module
        environment.globals.update({each: macro for each, macro in vars(module).items() if not each.startswith("_")})
    return environment


def render(environment: Environment, name: str, part: str | None, told: dict[str, Any]) -> str:
    """Render a template, or of it the one block that is to be sent alone."""
    template = environment.get_template(name)
    if part is None or part not in template.blocks:
        return template.render(told)
    return "".join(template.blocks[part](template.new_context(told)))
