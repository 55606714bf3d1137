"""The API's description as pages: their scripts come out of a package, since many networks block the usual CDN."""

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from broker.http.openapi import WORKERS_OPENAPI_URL

STATIC_URL = "/docs/static"
FAVICON_URL = f"{STATIC_URL}/favicon.png"


def add_docs_pages(app: FastAPI) -> None:
    """Serve `/docs` and `/redoc`, and `/docs/workers` for the worker protocol. The application has none of its own."""
    app.mount(STATIC_URL, StaticFiles(packages=[("fastapi_offline", "static")]), name="docs-static")

    @app.get("/docs", include_in_schema=False)
    def get_docs() -> HTMLResponse:
        return _show(f"{app.title} API", app.openapi_url or "")

    @app.get("/docs/workers", include_in_schema=False)
    def get_workers_docs() -> HTMLResponse:
        return _show(f"{app.title}: worker protocol", WORKERS_OPENAPI_URL)

    @app.get("/redoc", include_in_schema=False)
    def get_redoc() -> HTMLResponse:
        return get_redoc_html(
            openapi_url=app.openapi_url or "",
            title=f"{app.title} API",
            redoc_js_url=f"{STATIC_URL}/redoc.standalone.js",
            redoc_favicon_url=FAVICON_URL,
            with_google_fonts=False,
        )


def _show(title: str, openapi_url: str) -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url=openapi_url,
        title=title,
        swagger_js_url=f"{STATIC_URL}/swagger-ui-bundle.js",
        swagger_css_url=f"{STATIC_URL}/swagger-ui.css",
        swagger_favicon_url=FAVICON_URL,
    )
