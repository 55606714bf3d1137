"""What browsers are told of every page: nothing from elsewhere, no script or style in the page, no frame around it."""

from fastapi import Request, Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


def secure(response: Response) -> Response:
    """Add the headers that each page has. A page is nobody else's: no cache keeps it unless it says so itself."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    # What a script asks for is another answer than what a person opens.
    response.headers.add_vary_header("HX-Request-Type")
    return response


def is_private_line(request: Request) -> bool:
    """Tell whether nobody else can read what is sent: over TLS, or within one machine."""
    return request.url.scheme == "https" or is_loopback(request)


def is_loopback(request: Request) -> bool:
    return (request.url.hostname or "") in LOOPBACK
