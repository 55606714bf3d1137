"""What the client raises: the broker refused, or was not reached. The standard library only."""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """The broker's answer cannot be used."""


class DamagedDownload(ClientError):
    """The bytes that came are not those that the broker has."""


class NotReachable(ClientError):
    """No answer came: nothing listens there, the line broke, or it took too long."""


class ApiError(ClientError):
    """The broker answered with a problem; `problem` is its RFC 9457 body."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status, self.problem = status, problem
        super().__init__(f"{self.title} ({status}) {self.detail}")

    @property
    def title(self) -> str:
        return str(self.problem.get("title", "Error"))

    @property
    def detail(self) -> str:
        return str(self.problem.get("detail", ""))

    @property
    def kind(self) -> str:
        """Name the type of problem, such as `insufficient-balance`."""
        return str(self.problem.get("type", "")).rpartition("/")[2]

    @property
    def field_errors(self) -> dict[str, str]:
        """Tell what is wrong, field by field."""
        return {str(item.get("field", "")): str(item.get("message", "")) for item in self.problem.get("errors") or []}

    @property
    def is_passing(self) -> bool:
        """Tell whether the same request may work later: the broker has too much to do, or a fault of its own."""
        return self.status == 429 or self.status >= 500
