"""Secrets by name: those of a tenant, sealed in the store, and those of the environment, for the default tenant."""

from collections.abc import Iterable, Mapping

from tocsin.model.ids import DEFAULT_TENANT
from tocsin.model.secret import SecretRecord, SecretValue
from tocsin.store import rows
from tocsin.store.database import Database, Reader, Row, Transaction
from tocsin.store.sealing import Keyring, Place

FIELDS = ("id", "name", "description", "usable_by", "created_by", "created_ms", "updated_by", "updated_ms")


class Vault:
    """`environment`: SECRET_<name>, opened; read once, at the start. It comes first, and the API cannot change it."""

    def __init__(self, db: Database, keyring: Keyring, environment: Mapping[str, str]) -> None:
        self.db = db
        self.keyring = keyring
        self.environment = environment

    def __repr__(self) -> str:
        return "Vault(***)"

    def given(self, tenant_id: str) -> Mapping[str, str]:
        """What the environment gives to this tenant."""
        return self.environment if tenant_id == DEFAULT_TENANT else {}

    async def find(self, db: Reader, tenant_id: str, names: Iterable[str]) -> dict[str, SecretValue]:
        """Those of these that there are. Raises WrongKey."""
        found = {}
        for name in set(names):
            if name in (given := self.given(tenant_id)):
                found[name] = SecretValue(given[name], "admin")
                continue
            for id_, usable_by, sealed in await db.read("sealed_secret", {"tenant_id": tenant_id, "name": name}):
                found[name] = SecretValue(self.keyring.open(bytes(sealed), place(tenant_id, id_)), usable_by)
        return found

    async def values(self, tenant_id: str, names: Iterable[str], db: Reader | None = None) -> dict[str, str]:
        """The same, their values alone."""
        found = await self.find(db or self.db, tenant_id, names)
        return {name: one.value for name, one in found.items()}


def place(tenant_id: str, id_: str) -> Place:
    return Place(tenant_id, "secret", id_, "value")


def record(row: Row) -> SecretRecord:
    return SecretRecord(**dict(zip(FIELDS, row, strict=True)))


async def get(db: Reader, tenant_id: str, name: str) -> SecretRecord | None:
    found = await db.read("get_secret", {"tenant_id": tenant_id, "name": name})
    return record(found[0]) if found else None


async def list_(db: Database, tenant_id: str, after: str, limit: int) -> list[SecretRecord]:
    found = await db.read("list_secrets", {"tenant_id": tenant_id, "after": after, "limit": limit})
    return [record(row) for row in found]


async def users(db: Reader, tenant_id: str, names: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """Ids and names of the endpoints that refer to these secrets, by the secret's name."""
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    values = {"tenant_id": tenant_id, "names": rows.text(list(found))}
    for name, id_, its_name in await db.read("secret_users", values):
        found[name].append((id_, its_name))
    return found


async def add(tx: Transaction, keyring: Keyring, tenant_id: str, one: SecretRecord, value: str) -> bool:
    """False where the name is taken."""
    values = {
        "tenant_id": tenant_id,
        "id": one.id,
        "name": one.name,
        "description": one.description,
        "usable_by": one.usable_by,
        "value_sealed": keyring.seal(value, place(tenant_id, one.id)),
        "by": one.created_by,
        "now": one.created_ms,
    }
    if not await tx.fetch("insert_secret", values):
        return False
    await touch_users(tx, tenant_id, one.name)  # some may refer to one that was deleted
    return True


async def change(tx: Transaction, keyring: Keyring, tenant_id: str, one: SecretRecord, value: str | None) -> None:
    """A value of None stays. In a transaction that holds the tenant: nobody saves meanwhile what refers to it."""
    await touch_users(tx, tenant_id, one.name)
    values = {
        "tenant_id": tenant_id,
        "id": one.id,
        "description": one.description,
        "usable_by": one.usable_by,
        "value_sealed": None if value is None else keyring.seal(value, place(tenant_id, one.id)),
        "by": one.updated_by,
        "now": one.updated_ms,
    }
    await tx.fetch("update_secret", values)


async def touch_users(tx: Transaction, tenant_id: str, name: str) -> None:
    """Every process opens anew what refers to it."""
    await tx.fetch("touch_secret_users", {"tenant_id": tenant_id, "name": name})


async def delete(tx: Transaction, tenant_id: str, one: SecretRecord, by: str, now_ms: int) -> None:
    """The value goes, who and when stay."""
    await tx.fetch("delete_secret", {"tenant_id": tenant_id, "id": one.id, "by": by, "now": now_ms})


async def refer(tx: Transaction, tenant_id: str, endpoint_id: str, part: str, names: Iterable[str]) -> None:
    """Notes which secrets this part of an endpoint refers to from now on."""
    values = {"tenant_id": tenant_id, "endpoint_id": endpoint_id, "part": part}
    await tx.fetch("delete_secret_uses", values)
    for name in sorted(set(names)):
        await tx.fetch("insert_secret_use", values | {"name": name})
