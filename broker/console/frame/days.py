"""Days as pages ask for them, within the years that the broker takes moments of: the next day is one, too."""

from datetime import date
from typing import Annotated

from fastapi import Query

from broker.http.shapes import EARLIEST, LATEST

DayAsked = Annotated[date | None, Query(ge=EARLIEST.date(), lt=LATEST.date())]
