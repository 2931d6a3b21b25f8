"""People who sign in."""

from typing import Literal

from msgspec import Struct

from tocsin.model.hidden import Hidden

How = Literal["password", "oidc"]


class Account(Hidden, frozen=True):
    """`email` is in small letters. `password` is its argon2id hash, "" where there is none; `issuer` and `subject` are
    who else knows this person, and as whom (OpenID Connect). `home_tenant`: only this tenant's admin says that the
    address is theirs, so that the account counts in no other; "" counts everywhere."""

    user_id: str
    email: str
    name: str
    password: str = ""
    home_tenant: str = ""
    is_operator: bool = False
    issuer: str = ""
    subject: str = ""


class Membership(Struct, frozen=True):
    """A tenant that somebody belongs to."""

    tenant_id: str
    tenant_name: str
    role: str
    time_zone: str = "UTC"


class Session(Struct, frozen=True):
    """One browser that somebody is signed in with, in one tenant; `role` is the member's there, or `operator` for the
    operator's own tenant. Times are Unix milliseconds; `seen_ms` is right to the minute."""

    id: str
    user_id: str
    tenant_id: str
    role: str
    how: str
    seen_ms: int
    ends_ms: int
    email: str
    name: str
    is_operator: bool
