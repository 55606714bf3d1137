"""People who sign in by OpenID Connect. Each acts as a key that nobody holds, so all that holds for keys holds for it.

Who somebody is, its provider says: by issuer and subject, for good. Before that, a person of a customer is known by the
mail address under which it was invited, and only where the provider says that it has verified it; one of staff by the
groups that the provider names, each time anew.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, select

from broker import errors
from broker.identity.service import create_api_key, get_api_key, revoke_api_key
from broker.identity.tables import ApiKey, Person, Session
from broker.persistence.database import add_unique, narrow
from broker.work import Actor, Role, Work

# The widest first: who is in several groups acts as that.
STAFF_ROLES = (Role.ADMIN, Role.FINANCE, Role.OPS)


@dataclass(frozen=True)
class Identity:
    """Who somebody is by the provider's word, which was checked. `email` is None where it was not verified there."""

    issuer: str
    subject: str
    email: str | None
    groups: Collection[str]


def read_identity(claims: Mapping[str, Any], role_claim: str) -> Identity:
    """Read who somebody is from the claims of a token that was checked. Pure.

    A mail address counts only with `email_verified`, which is true and nothing like it: a provider where anybody may
    write any address into its profile must not open another's account.
    """
    email = claims.get("email")
    is_verified = claims.get("email_verified") is True and isinstance(email, str)
    told = claims.get(role_claim, ())
    groups = [told] if isinstance(told, str) else [each for each in told or () if isinstance(each, str)]
    return Identity(str(claims["iss"]), str(claims["sub"]), str(email).lower() if is_verified else None, groups)


def find_staff_role(groups: Collection[str], roles: Mapping[str, str]) -> Role | None:
    """Find the role of staff that some groups have; None for none. Pure."""
    return next((role for role in STAFF_ROLES if role.value in roles and roles[role.value] in groups), None)


def select_people(**wanted: str | None) -> Select[Person]:
    """Select the people that the actor sees, all or those with these values in their columns."""
    return narrow(select(Person), **wanted)


async def invite_person(work: Work, customer_id: str, email: str) -> Person:
    """Invite a person of a customer by its mail address. Raises: NotFound, NameTaken, Forbidden."""
    return await _add_person(work, email.lower(), role=Role.CUSTOMER, customer_id=customer_id)


async def _add_person(work: Work, email: str, *, role: Role, customer_id: str | None) -> Person:
    if await work.session.scalar(select(Person.id).where(Person.email == email)) is not None:
        raise _taken(email)
    key, _nobodys = await create_api_key(work, role=role, name=email, customer_id=customer_id, expires_at=None)
    person = Person(id=work.new_id("per"), customer_id=customer_id, api_key_id=key.id, email=email, created_at=work.now)
    await add_unique(work.session, person, _taken(email))  # another customer's is not seen above
    return person


def _taken(email: str) -> errors.NameTaken:
    return errors.NameTaken(
        f"{email} is invited already; a person acts for one customer.",
        errors=[errors.FieldError("email", "is invited already")],
    )


async def remove_person(work: Work, person_id: str) -> None:
    """Remove a person, and revoke its key. Raises: NotFound; IllegalTransition, for the last administrator."""
    person = await work.session.get(Person, person_id)
    if person is None:
        raise errors.NotFound("person", person_id)
    await revoke_api_key(work, person.api_key_id)
    await work.session.delete(person)
    await work.session.flush()


async def sign_in_person(work: Work, identity: Identity) -> Actor:
    """Find as whom somebody acts who has signed in at the provider; the work sees all tenants.

    Raises: Unauthenticated, for who was neither invited nor is of staff, or is not any more.
    """
    role = find_staff_role(identity.groups, dict[str, str](work.settings.oidc_roles.items()))
    known = Person.issuer == identity.issuer, Person.subject == identity.subject
    person = (await work.session.scalars(select(Person).where(*known).with_for_update())).one_or_none()
    if person is None:
        person = await _meet_person(work, identity, role)
    key = await get_api_key(work, person.api_key_id)
    if person.customer_id is None:
        await _require_staff(work, key, role)
    if key.revoked_at is not None:
        raise errors.Unauthenticated("Your access was taken away; ask who invited you.")
    person.signed_in_at = work.now
    await work.session.flush()
    return Actor(Role(key.role), key.id, key.customer_id)


async def _meet_person(work: Work, identity: Identity, role: Role | None) -> Person:
    """Tell who signs in for the first time: of staff by its groups, else who was invited by this mail address.

    A customer that has invited the address of somebody of staff has invited nobody: anybody may type any address.
    """
    if identity.email is None:
        raise errors.Unauthenticated("Your provider does not say that it has verified your mail address.")
    invited = select(Person).where(Person.email == identity.email, Person.subject.is_(None)).with_for_update()
    person = (await work.session.scalars(invited)).one_or_none()
    if role is not None:
        if person is not None:
            await remove_person(work, person.id)
        person = await _add_person(work, identity.email, role=role, customer_id=None)
    if person is None:
        raise errors.Unauthenticated("Nobody has invited you by this mail address; ask who has a key of your company.")
    person.issuer, person.subject = identity.issuer, identity.subject
    return person


async def _require_staff(work: Work, key: ApiKey, role: Role | None) -> None:
    """Have somebody of staff act in the role that its groups have today. Raises: Unauthenticated, without one."""
    if role is not None:
        if key.role != role.value:
            await work.session.execute(delete(Session).where(Session.api_key_id == key.id))
        key.role = role.value
        return
    raise errors.Unauthenticated("Your groups have no role here any more.")
