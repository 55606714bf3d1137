"""In which language a document is wanted: the one that is named, or that the caller accepts; else Chinese."""

from typing import Annotated

from fastapi import Depends, Query, Request

from broker.billing.documents.words import Language
from broker.http.languages import find_language

Named = Annotated[
    Language | None,
    Query(description="Of a PDF, and of the heads of an XLSX; else as `Accept-Language` says.", examples=["zh"]),
]


def choose_language(request: Request, language: Named = None) -> Language:
    return language or Language(find_language(request) or Language.ZH)


InLanguage = Annotated[Language, Depends(choose_language)]
