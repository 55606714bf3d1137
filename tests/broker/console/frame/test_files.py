"""What pages fetch: vendored, unchanged, small, and kept by browsers for ever."""

import hashlib
from importlib.resources import files

from fastapi import FastAPI

from broker.console.frame.files import link_file, load_files
from tests.broker.console.people import visit

MOST_STYLE_BYTES, MOST_SCRIPT_BYTES = 12 * 1024, 5 * 1024
# SHA-256 of the files as their packages have them: htmx.org 4.0.1, sortablejs 1.15.7.
VENDORED = {
    "htmx-4.0.1.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "hx-sse-4.0.1.min.js": "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103",
    "Sortable-1.15.7.min.js": "bf4241bc73fef7f11c59a283a69fe8051cdd31c6d8ff5a2b9ba219e7831fcf76",
}


def test_vendored_files_are_those_of_their_packages_with_their_licences_beside() -> None:
    folder = files("broker.console").joinpath("static/vendor")
    found = {each.name for each in folder.iterdir()}
    assert found == {*VENDORED, "htmx.LICENSE", "Sortable.LICENSE"}
    for name, digest in VENDORED.items():
        assert hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest() == digest, name


def test_our_own_style_and_script_stay_small() -> None:
    assert len(load_files()["console.css"].content) <= MOST_STYLE_BYTES
    own = [each.content for name, each in load_files().items() if name.endswith(".js") and name not in VENDORED]
    assert sum(map(len, own)) <= MOST_SCRIPT_BYTES


async def test_a_file_is_kept_for_ever_under_the_address_of_its_content(app: FastAPI) -> None:
    async with visit(app) as person:
        shown = await person.open(link_file("console.css"))
        assert shown.response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert shown.response.headers["content-type"] == "text/css; charset=utf-8"
        await person.open("/console/static/000000000000/console.css", expect=404)
        await person.open("/console/static/000000000000/nothing.css", expect=404)
