"""Files: each is a data set. A file is announced, sent to the address that is answered, and asked for."""

import hashlib
import tempfile
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from broker.facades.asking import Broker, Refused, find_answered, require_name
from broker.facades.models import list_newest
from broker.facades.orders import refuse
from broker.facades.together.door import TogetherRoute, facade_router
from broker.facades.together.objects import write_file
from broker.facades.together.upload_links import GOOD_FOR, UploadLink, find_link
from broker.facades.uploads import LONGEST_NAME, answer_file
from broker.http.body import limit_body

UPLOADS = "/together/uploads"
FILE_ID = "X-Together-File-Id"
UPLOADED = "upl_"
MOST_LISTED = 1000
IN_MEMORY = 1 << 20


class UploadRoute(TogetherRoute):
    """A route whose address says who asks: it needs no key, and its body is streamed."""

    async def admit(self, request: Request) -> Request:
        settings = request.app.state.services.settings
        return limit_body(request, request.app.state.services, most_bytes=settings.max_dataset_bytes)

    async def check(self, request: Request) -> None:
        """Leave the body to the route, which streams it."""


router = facade_router()
uploads = APIRouter(prefix=UPLOADS, route_class=UploadRoute, include_in_schema=False)


@router.post("/files")
async def announce_file(
    request: Request,
    file_name: Annotated[str, Form(min_length=1)],
    checksum: Annotated[str, Form(pattern="^[0-9a-f]{64}$")],
    purpose: Annotated[str, Form()] = "fine-tune",
) -> Response:
    """Answer where a file is to be sent, and by which id it is asked for then."""
    if purpose != "fine-tune":
        raise refuse("purpose", "must be fine-tune: files serve training alone")
    services = request.app.state.services
    until = int((services.clock() + GOOD_FOR).timestamp())
    bearer, upload_id = request.headers["authorization"], services.new_id("upl")
    link = UploadLink(bearer, upload_id, file_name[:LONGEST_NAME], checksum, until)
    address = f"{str(request.base_url).rstrip('/')}{UPLOADS}?{urlencode({'link': link.seal(services.secret)})}"
    return RedirectResponse(address, 302, {FILE_ID: upload_id})


# Not a part of the path, which the access log tells.
@uploads.put("")
async def receive_file(request: Request, link: str) -> dict[str, Any]:
    """Receive a file that was announced, as it was announced, and keep it as a data set."""
    services = request.app.state.services
    sent_by = find_link(services.secret, link, services.clock())
    if sent_by is None:
        raise Refused(403, {"detail": "This address is good no more: announce the file again."})
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        digest = hashlib.sha256()
        async for piece in request.stream():
            digest.update(piece)
            file.write(piece)
        if digest.hexdigest() != sent_by.sha256:
            raise Refused(422, {"detail": "file: is not what was announced: its SHA-256 is another", "param": "file"})
        file.seek(0)
        sent = {"files": [("files", (sent_by.name, file))], "data": {"name": sent_by.name}}
        kept = await Broker(request, sent_by.authorization).post("/datasets", key=sent_by.upload_id, **sent)
    return {"id": kept["id"], "object": "file"}


@router.post("/files/{file_id}/preprocess")
async def confirm_file(request: Request, file_id: str) -> dict[str, Any]:
    """Answer what a file that was sent has become; it was checked when it came."""
    return await _find_file(request, file_id)


@router.get("/files")
async def list_files(request: Request) -> dict[str, Any]:
    """List the newest files; the clients know no pages of them."""
    return {"data": [write_file(each) for each in await list_newest(Broker(request), "/datasets", MOST_LISTED)]}


@router.get("/files/{file_id}")
async def retrieve_file(request: Request, file_id: str) -> dict[str, Any]:
    return await _find_file(request, file_id)


@router.get("/files/{file_id}/content")
async def retrieve_content(request: Request, file_id: str) -> Response:
    """Answer the file as it was sent."""
    return await answer_file(request, require_name(file_id))


@router.delete("/files/{file_id}")
async def delete_file(request: Request, file_id: str) -> dict[str, Any]:
    await Broker(request).send("DELETE", f"/datasets/{require_name(file_id)}")
    return {"id": file_id, "deleted": True}


async def _find_file(request: Request, file_id: str) -> dict[str, Any]:
    """Find a file by its id, or by that under which it was announced. Raises: Refused."""
    if file_id.startswith(UPLOADED):
        kept = await find_answered(request, require_name(file_id))
        if kept is None:
            raise Refused(404, {"detail": f"The file {file_id} has not come yet.", "type": "/problems/not-found"})
        file_id = kept["id"]
    return write_file(await Broker(request).get(f"/datasets/{require_name(file_id)}"))
