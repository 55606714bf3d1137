"""The routes' class of every facade: who asks is known first, and failures are told in the clients' own form."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from broker.facades.asking import Refused
from broker.http.body import limit_body, read_body
from broker.http.edge import identify
from broker.http.problems import answer_error

PASSED_ON = ("retry-after", "www-authenticate")


class FacadeRoute(APIRoute):
    """A route of a facade; each facade says how it tells what failed."""

    def tell(self, request: Request, refused: Refused) -> Response:
        """Tell what failed as the clients of this facade read it."""
        raise NotImplementedError

    async def admit(self, request: Request) -> Request:
        """Admit a request, its body limited: its bearer is known before that is read."""
        await identify(request)
        return limit_body(request, request.app.state.services)

    async def check(self, request: Request) -> None:
        """Receive and check the body of a request that was admitted."""
        await read_body(request)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_or_tell(request: Request) -> Response:
            try:
                request = await self.admit(request)
                await self.check(request)
                return await handle(request)
            except Refused as refused:
                return self.tell(request, refused)
            except Exception as error:  # noqa: BLE001 (told as the application tells it, in this client's words)
                problem = await answer_error(request, error)
                members = json.loads(bytes(problem.body) or b"{}")
                return self.tell(request, Refused(problem.status_code, members, problem.headers))
            finally:
                await request.close()

        return handle_or_tell


def pass_headers(refused: Refused) -> dict[str, str]:
    """List the headers of a problem that every client understands."""
    return {name: refused.headers[name] for name in PASSED_ON if name in refused.headers}
