"""The pictures of a data set with their captions, and edits of these, each of which makes a new version."""

from typing import Annotated

from fastapi import Query

from broker import errors
from broker.datasets import service
from broker.datasets.caption_edits import plan_edit
from broker.datasets.caption_schemas import CaptionEditIn, CaptionEditOut, PictureOut
from broker.datasets.captions import read_captions
from broker.datasets.schemas import DatasetOut
from broker.datasets.thumbnails import list_picture_names
from broker.datasets.versions import Maker, Origin, keep_version, receive_version
from broker.http.edge import CustomerCaller, feature_router
from broker.http.languages import Saying
from broker.http.shapes import Limit, Page
from broker.identity.service import require_acting
from pricing.training.label_config import LONGEST_NAME

router = feature_router("/datasets/{dataset_id}", "datasets")


@router.get("/pictures")
async def list_pictures(
    caller: CustomerCaller,
    dataset_id: str,
    captioned: Annotated[
        bool | None, Query(description="Only those with a caption, or without one.", examples=[False])
    ] = None,
    search: Annotated[
        str | None, Query(max_length=200, description="Only those with this in name or caption.", examples=["kettle"])
    ] = None,
    limit: Limit = 100,
    cursor: Annotated[
        str | None,
        Query(max_length=LONGEST_NAME, description="`next_cursor` of the page before.", examples=["kettle.png"]),
    ] = None,
) -> Page[PictureOut]:
    """List the pictures of a data set with their captions, by name; none of a data set of text."""
    async with caller.look() as work:
        dataset = await service.get_dataset(work, dataset_id)
        storage = work.storage
    numbers = {name: number for number, name in enumerate(list_picture_names(dataset))}
    pictures = await read_captions(storage, dataset) if dataset.kind == "images" else ()
    found = sorted(pictures, key=lambda each: each.name)
    if captioned is not None:
        found = [each for each in found if bool(each.caption) is captioned]
    if search is not None:
        words = search.casefold()
        found = [each for each in found if words in each.name.casefold() or words in each.caption.casefold()]
    work = await caller.begin()
    work.note_look(dataset.id, dataset.customer_id)
    rest = [each for each in found if cursor is None or each.name > cursor]
    shown = [PictureOut.of(numbers[each.name], each) for each in rest[:limit]]
    return Page(data=shown, next_cursor=shown[-1].name if len(rest) > limit else None)


@router.post("/captions", status_code=201)
async def edit_captions(caller: CustomerCaller, say: Saying, dataset_id: str, body: CaptionEditIn) -> CaptionEditOut:
    """Edit captions of one picture, of some or of all. The data set stays as it is; the edit makes its next version.

    With `dry_run` it is only told what would change.
    """
    require_acting(caller.actor)
    await caller.answer_if_known()
    async with caller.look() as work:
        parent = await service.get_dataset(work, dataset_id)
    pictures = await read_captions(caller.services.storage, parent)
    before = {each.name: each.caption for each in pictures}
    captions = plan_edit(pictures, body.read_edit())
    if body.dry_run:
        return CaptionEditOut.of(before, captions, None)
    if not captions:
        raise errors.invalid_field("scope", "no caption would change; name other pictures, or other words")
    received = await receive_version(caller.services, parent, captions)
    caller.delete_unless_used(received.stored.key, lambda: received.is_used)
    work = await caller.begin()
    await service.get_dataset(work, dataset_id)
    kept = await keep_version(work, parent, received, Maker(Origin.EDIT))
    return CaptionEditOut.of(before, captions, DatasetOut.of(kept, say=say))
