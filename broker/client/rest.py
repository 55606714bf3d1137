"""REST as the client speaks it: one key at one broker, problems as errors, another try where an answer got lost."""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2 as httpx

from broker.client.errors import ApiError, DamagedDownload, NotReachable

# Waits before a further try, in seconds: for a line that broke, a restart, or a broker that has too much to do.
RETRY_PAUSES = (0.2, 0.8)
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
LONGEST_RETRY_AFTER_SECONDS = 10.0
# The type of the problem that a data set's tokens are not counted yet: no fault, and `BrokerClient` waits for it.
COUNTING = "tokens-being-counted"


@dataclass
class Client:
    """One API key at one broker. In `language` (`zh`) it is told what is wrong, where that is one of the broker's.

    Every POST carries an Idempotency-Key, so that one whose answer got lost is sent again without being done twice.
    Each call raises: ApiError, NotReachable.
    """

    url: str
    api_key: str
    timeout_seconds: float = 60
    retry_pauses: Sequence[float] = RETRY_PAUSES
    language: str | None = None

    def __post_init__(self) -> None:
        self.http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.api_key}", **self._list_languages()},
            timeout=self.timeout_seconds,
            verify=self.url.startswith("https:"),  # the certificates of the system take 20 ms to read
        )

    def _list_languages(self) -> dict[str, str]:
        return {} if self.language is None else {"Accept-Language": self.language}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def get(self, path: str, **params: Any) -> Any:
        """Get an object or a page of a list; a parameter that is None is left out."""
        return self._get(path, params).json()

    def get_text(self, path: str, **params: Any) -> str:
        """Get an answer as text, such as CSV."""
        return str(self._get(path, params).text)

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None) -> Any:
        """Post a body under a new Idempotency-Key, or the given one."""
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
        return self._send(lambda: self.http.post(f"/v1{path}", json=dict(body or {}), headers=headers)).json()

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change an object."""
        return self._send(lambda: self.http.patch(f"/v1{path}", json=dict(body))).json()

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Say how an object is from now on."""
        return self._send(lambda: self.http.put(f"/v1{path}", json=dict(body))).json()

    def delete(self, path: str) -> Any:
        """Delete an object; returns what is answered, if anything."""
        response = self._send(lambda: self.http.delete(f"/v1{path}"))
        return response.json() if response.content else None

    def post_files(self, path: str, files: Sequence[Path], fields: Mapping[str, str], *, name: str = "files") -> Any:
        """Post files as a form, each under this name, read piece by piece. Raises also: OSError."""
        headers = {"Idempotency-Key": secrets.token_hex(16)}

        def send() -> httpx.Response:
            with ExitStack() as opened:
                parts = [(name, (file.name, opened.enter_context(file.open("rb")))) for file in files]
                return self.http.post(f"/v1{path}", files=parts, data=dict(fields), headers=headers)

        return self._send(send).json()

    def upload_dataset(self, paths: Sequence[Path], *, name: str | None = None, customer_id: str | None = None) -> Any:
        """Send files as one data set; `customer_id` is needed with a staff key. Raises also: OSError."""
        fields = {"name": name, "customer_id": customer_id}
        return self.post_files("/datasets", paths, {key: value for key, value in fields.items() if value is not None})

    def download(self, path: str, target: Path) -> Path:
        """Write a download to a file, whole and with the hash that the broker tells, or not at all.

        Raises also: DamagedDownload, OSError.
        """
        aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")

        def fetch() -> httpx.Response:
            with self.http.stream("GET", f"/v1{path}") as response:
                if response.is_error:
                    response.read()
                    return response
                digest = hashlib.sha256()
                with aside.open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
                        digest.update(chunk)
                if digest.hexdigest() != response.headers.get("X-Content-SHA256", digest.hexdigest()):
                    raise DamagedDownload(f"the download of {target.name} is damaged; nothing was kept, try again")
                return response

        try:
            self._send(fetch)
            return aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)

    def list_all(self, path: str, **params: Any) -> Iterator[Any]:
        """List every object of a list, page by page."""
        cursor = None
        while True:
            page = self.get(path, limit=100, cursor=cursor, **params)
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def get_whole(self, path: str) -> Any:
        """Get a list with all its pages in one: the first page's other members, and everybody's `data`."""
        whole = page = self.get(path)
        while page.get("next_cursor"):
            page = self.get(path, cursor=page["next_cursor"])
            whole["data"] += page["data"]
            whole["next_cursor"] = page.get("next_cursor")
        return whole

    def _get(self, path: str, params: Mapping[str, Any]) -> httpx.Response:
        known = {name: value for name, value in params.items() if value is not None}
        return self._send(lambda: self.http.get(f"/v1{path}", params=known))

    def _send(self, request: Callable[[], httpx.Response]) -> httpx.Response:
        """Send a request, again after a while where that may help; every request here can be sent twice."""
        for pause in self.retry_pauses:
            try:
                response = request()
            except httpx.TransportError:
                time.sleep(pause)
                continue
            if response.status_code not in RETRIED_STATUSES or COUNTING in response.text:
                return _require_success(response)
            time.sleep(max(pause, _read_retry_after(response)))
        try:
            return _require_success(request())
        except httpx.TransportError as error:
            raise NotReachable(f"no answer from {self.url} ({error or type(error).__name__})") from error


def _require_success(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"title": response.reason_phrase, "status": response.status_code, "detail": response.text[:500]}
    raise ApiError(response.status_code, problem)


def _read_retry_after(response: httpx.Response) -> float:
    """Read for how many seconds the broker asks to wait; 0 where it does not say."""
    told = response.headers.get("Retry-After", "")
    return min(float(told), LONGEST_RETRY_AFTER_SECONDS) if told.isdigit() else 0.0
