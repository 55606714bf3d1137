"""HEAD answers as GET does, without the body."""

import pytest

from tests.broker.factories import Api, make_customer


@pytest.mark.parametrize("path", ["/healthz", "/v1/customers", "/v1/customers/cus_x", "/docs", "/openapi.json"])
async def test_head_has_the_status_and_headers_of_get_and_no_body(api: Api, path: str) -> None:
    await make_customer(api)
    get, head = await api.http.get(path), await api.http.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))
    assert head.headers["content-type"] == get.headers["content-type"]


async def test_head_needs_a_key_as_get_does(api: Api) -> None:
    assert (await api.http.head("/v1/customers", headers={"Authorization": "Bearer no"})).status_code == 401


async def test_head_of_what_has_no_get_is_refused(api: Api) -> None:
    assert (await api.http.head("/v1/quotes")).status_code == 405
