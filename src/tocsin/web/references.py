"""`secret:NAME` in what somebody gives: looked up, allowed or refused, with the field that says it."""

from collections.abc import Iterable
from typing import TypeVar

from tocsin.model.access import RANKS
from tocsin.model.errors import Forbidden, Invalid
from tocsin.model.reference import filled, names_in
from tocsin.store.database import Reader
from tocsin.web.routes import Call

Json = TypeVar("Json")


async def in_place(call: Call, db: Reader, field: str, value: Json) -> Json:
    """The value with secrets in the place of their names, in every text of it. Raises Invalid for a name that there is
    not, and Forbidden for a secret that the caller may not use."""
    names = set(names_in(value))
    found: Json = filled(value, await usable(call, db, field, names)) if names else value
    return found


async def usable(call: Call, db: Reader, field: str, names: Iterable[str]) -> dict[str, str]:
    """The same for names: the secrets by name."""
    found = await call.app.vault.find(db, call.tenant_id, names)
    for name in sorted(names):
        if name not in found:
            expected = "the name of a secret that there is (GET /v1/secrets)"
            raise Invalid(field, f"secret:{name[:64]}", expected)
        if RANKS[call.by.role] < RANKS[found[name].usable_by]:
            raise Forbidden(f"{field}: only an admin may put the secret {name} into a webhook.")
    return {name: one.value for name, one in found.items()}


async def check_may_use(call: Call, db: Reader, names: Iterable[str]) -> None:
    """Raises Forbidden where one of these, which are in use already, is not for the caller to send elsewhere. One that
    is gone is nobody's."""
    found = await call.app.vault.find(db, call.tenant_id, names)
    await usable(call, db, "webhook_url", found)
