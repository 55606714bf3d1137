"""What the REST API tells, in the language of whoever asks: the catalogues that pages are told by serve it, too.

`app.py` hands this to the edge, which knows no catalogue.
"""

from collections.abc import Mapping
from typing import Any

from broker.console.frame.catalogue import load_translations
from broker.console.frame.sentences import load_sentences
from broker.http.languages import Language, Say


def say_problem(problem: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """Say the sentences of a problem in a language: its title, its detail, and what is wrong with each field."""
    say = load_sentences(language).say
    said = {**problem, "title": load_translations(language, "frame").gettext(problem["title"])}
    said["detail"] = say(problem["detail"])
    if "errors" in problem:
        said["errors"] = [{**fault, "message": say(fault["message"])} for fault in problem["errors"]]
    return said


def find_say(language: Language) -> Say:
    """Find what says a sentence of an answer in a language."""
    return load_sentences(language).say
