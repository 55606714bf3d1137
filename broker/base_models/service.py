"""Base models: which are on offer, added by an operator, and taken off again."""

import gzip
import logging
from collections.abc import Sequence

from sqlalchemy import ScalarSelect, Text, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from broker import errors
from broker.base_models.model import ListedModel, list_models
from broker.base_models.tables import AddedModel
from broker.persistence.database import add_unique
from broker.persistence.documents import explain_unreadable
from broker.persistence.driver import Command, Statement, require
from broker.work import Work
from pricing.catalog.described import ModelDescription
from pricing.catalog.offered import OfferedModels
from pricing.catalog.profile import BaseModelProfile
from pricing.catalog.spellings import fold_spelling

__all__ = [
    "OFFER_VERSION",
    "AddedModel",
    "add_model",
    "find_added",
    "list_added",
    "list_models_now",
    "read_offer",
    "read_offer_of",
    "remove_model",
    "require_name",
    "require_offer",
    "select_offer_version",
]

log = logging.getLogger(__name__)

OFFER = "offer"


def select_offer_version() -> ScalarSelect[str]:
    """Select what tells one offer from another, as part of a larger statement: the ids of the models that are on it.

    A number could come again: of an addition that is rolled back, and the next one.
    """
    ids = func.string_agg(AddedModel.id, aggregate_order_by(literal(" "), AddedModel.id))
    return select(func.coalesce(ids, "")).where(AddedModel.removed_at.is_(None)).scalar_subquery()


OFFER_VERSION = Statement(select(select_offer_version()))
REQUIRE_OFFER = require(select_offer_version() == bindparam("version", type_=Text))


def require_offer(version: str) -> Command:
    """Make the command that ends its message where the offer has become another."""
    return Command(REQUIRE_OFFER, {"version": version})


async def read_offer(work: Work) -> OfferedModels:
    """Read which base models are on offer now."""
    version = await work.session.scalar(select(select_offer_version()))
    return await read_offer_of(work, version or "")


async def read_offer_of(work: Work, version: str) -> OfferedModels:
    """Read the base models of a version of the offer, which is that of now; from memory where it was read before."""
    known = work.services.versions.find(OfferedModels, OFFER, version)
    if known is not None:
        return known
    added = {row.name: row.profile for row in await list_added(work) if _is_readable(row)}
    offered = OfferedModels(added, work.settings.offered_captioners)
    return work.services.versions.keep(OFFER, offered, version)


def _is_readable(row: AddedModel) -> bool:
    fault = explain_unreadable(row.profile)
    if fault is not None:
        log.error("base model %s is not on offer: its profile cannot be read; add it again: %s", row.name, fault)
    return fault is None


async def list_added(work: Work) -> Sequence[AddedModel]:
    """List the models that are added and not removed, by name."""
    query = select(AddedModel).where(AddedModel.removed_at.is_(None)).order_by(AddedModel.name)
    return (await work.session.scalars(query)).all()


async def list_models_now(work: Work) -> list[ListedModel]:
    """List every model that is known, by name, with what can be said of it now."""
    added_at = {row.name: row.created_at for row in await list_added(work)}
    return list_models(await read_offer(work), added_at)


async def find_added(work: Work, name: str) -> AddedModel | None:
    """Find the added model that a name stands for, however its words are joined; None where it is none."""
    query = select(AddedModel).where(AddedModel.removed_at.is_(None), AddedModel.spelling == fold_spelling(name))
    return (await work.session.scalars(query)).one_or_none()


async def add_model(work: Work, description: ModelDescription) -> AddedModel:
    """Offer a model under the name in its profile; the same files again change nothing.

    Raises: NameTaken, where the name stands for other files.
    """
    profile = description.profile
    assert profile.weights_sha256 is not None, "a description has the hash of the files"
    earlier = await require_name(work, profile)
    if earlier is not None:
        return earlier
    tokenizer = description.tokenizer
    row = AddedModel(
        id=work.new_id("bam"),
        name=profile.name,
        spelling=fold_spelling(profile.name),
        family=profile.family,
        profile=profile,
        sha256=profile.weights_sha256,
        size_bytes=description.size_bytes,
        tokenizer=None if tokenizer is None else gzip.compress(tokenizer.encode(), mtime=0),
        created_at=work.now,
    )
    await add_unique(work.session, row, _name_taken(profile.name))
    return row


async def require_name(work: Work, profile: BaseModelProfile) -> AddedModel | None:
    """Require that a model's name stands for no other files; returns the model where it is on offer already.

    Raises: NameTaken.
    """
    earlier = await find_added(work, profile.name)
    if earlier is not None and earlier.sha256 != profile.weights_sha256:
        raise _name_taken(profile.name)
    return earlier


def _name_taken(name: str) -> errors.NameTaken:
    message = f"stands for other files here; remove that model first (`broker models remove {name}`), or give a --name"
    return errors.NameTaken(f"{name} {message}", errors=[errors.FieldError("name", message)])


async def remove_model(work: Work, name: str) -> AddedModel:
    """Take a model off the offer; its files stay where they are. Raises: NotFound."""
    row = await find_added(work, name)
    if row is None:
        raise errors.NotFound("added base model", name)
    row.removed_at = work.now
    return row
