"""A small Python client of the REST API; the CLI and the demo are built on it."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2 as httpx


class ApiError(Exception):
    """The broker answered with a problem; `problem` is its RFC 9457 body."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status, self.problem = status, problem
        super().__init__(f"{problem.get('title', 'Error')} ({status}) {problem.get('detail', '')}")


@dataclass
class Client:
    """One API key at one broker. Every POST carries an Idempotency-Key."""

    url: str
    api_key: str
    timeout_seconds: float = 60

    def __post_init__(self) -> None:
        self.http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=self.timeout_seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def get(self, path: str, **params: Any) -> Any:
        """Get an object or a page of a list. Raises: ApiError, httpx.TransportError."""
        known = {name: value for name, value in params.items() if value is not None}
        return self._read(self.http.get(f"/v1{path}", params=known)).json()

    def get_text(self, path: str, **params: Any) -> str:
        """Get an answer as text, such as CSV. Raises: ApiError, httpx.TransportError."""
        return str(self._read(self.http.get(f"/v1{path}", params=params)).text)

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None) -> Any:
        """Post a body under a new Idempotency-Key, or the given one. Raises: ApiError, httpx.TransportError."""
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
        return self._read(self.http.post(f"/v1{path}", json=dict(body or {}), headers=headers)).json()

    def upload_dataset(self, paths: list[Path], **fields: str) -> Any:
        """Send files as one data set. Raises: ApiError, OSError, httpx.TransportError."""
        files = [("files", (path.name, path.read_bytes())) for path in paths]
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        return self._read(self.http.post("/v1/datasets", files=files, data=fields, headers=headers)).json()

    def download(self, path: str, target: Path) -> Path:
        """Write a download to a file, whole or not at all. Raises: ApiError, OSError, httpx.TransportError."""
        aside = target.with_name(f".{target.name}.part")
        with self.http.stream("GET", f"/v1{path}") as response:
            if response.is_error:
                response.read()
            self._read(response)
            with aside.open("wb") as file:
                for chunk in response.iter_bytes():
                    file.write(chunk)
        return aside.rename(target)

    def list_all(self, path: str, **params: Any) -> Iterator[Any]:
        """List every object of a list, page by page. Raises: ApiError, httpx.TransportError."""
        cursor = None
        while True:
            page = self.get(path, limit=100, cursor=cursor, **params)
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    @staticmethod
    def _read(response: httpx.Response) -> httpx.Response:
        if response.is_error:
            try:
                problem = response.json()
            except ValueError:
                problem = {"title": response.reason_phrase, "detail": response.text[:500]}
            raise ApiError(response.status_code, problem)
        return response
