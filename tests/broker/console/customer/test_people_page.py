"""People and projects on their pages: invited and removed; made, and keys made members that see nothing else."""

from tests.broker.console.people import sign_in_customer
from tests.broker.factories import Api, make_customer

PAGE = "/console/people"


async def test_a_person_is_invited_once_and_removed(api: Api) -> None:
    customer = (await make_customer(api))["id"]
    async with sign_in_customer(api, customer) as person:
        page = await person.open(PAGE)
        assert (page.state_of("people"), page.state_of("projects")) == ("never", "never")
        await person.send(PAGE, {"email": "lin@acme.example"}, of=page, form="#invite-form")
        twice = await person.send(
            PAGE, {"email": "lin@acme.example", "idempotency_key": "2"}, of=page, form="#invite-form", expect=409
        )
        assert "is invited already" in twice.find("#f-email-error")
        shown = await person.open(PAGE)
        assert "lin@acme.example not yet" in shown.find("#people tbody tr")
        (remove,) = shown.attributes("#people form", "action")
        await person.send(remove, {}, of=shown, form="#people form")
        assert (await person.open(PAGE)).state_of("people") == "never"


async def test_a_key_of_projects_becomes_a_member_changes_its_role_and_leaves(api: Api) -> None:
    customer = (await make_customer(api))["id"]
    async with sign_in_customer(api, customer) as person:
        page = await person.open(PAGE)
        made = await person.send("/console/projects", {"name": "spring"}, of=page, form="#project-form")
        at = made.response.headers["location"]
        empty = await person.open(at)
        assert (empty.state_of("members"), empty.tree.css("#member-form")) == ("never", [])
        keys = await person.open("/console/keys")
        fields = {"name": "CI", "purpose": "projects"}
        shown = await person.send("/console/keys", fields, of=keys, form="#key-form", expect=201)
        assert "in its projects alone" in shown.words_of("#api-keys tbody tr")[0]
        page = await person.open(at)
        (key_id,) = page.attributes("#f-key_id option", "value")
        member = {"key_id": key_id, "role": "viewer"}
        await person.send(f"{at}/members", member, of=page, form="#member-form")
        joined = await person.open(at)
        assert "CI lbk" in joined.find("#members tbody tr")
        assert "looks" in joined.find("#members tbody tr")
        other = f"#members form[action='{at}/members']"
        await person.send(f"{at}/members", {}, of=joined, form=other)
        assert "trains, too" in (await person.open(at)).find("#members tbody tr")
        assert "spring 1" in (await person.open(PAGE)).find("#projects tbody tr")
        end = f"{at}/members/end"
        await person.send(end, {}, of=joined, form=f"form[action='{end}']")
        assert (await person.open(at)).state_of("members") == "never"
        await person.send(end, {"key_id": "key_none"}, of=joined, form=f"form[action='{end}']", expect=404)
