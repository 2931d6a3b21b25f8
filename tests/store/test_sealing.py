"""Secrets at rest: a sealed value opens in its place and with its key, and nowhere else."""

import base64
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.rows import add_endpoint, add_tenant, endpoint
from tocsin.store import config
from tocsin.store.database import Database
from tocsin.store.sealing import Keyring, Place, WrongKey, key_id, parse_keys

KEY, OTHER = b"1" * 32, b"2" * 32
HERE = Place("tenant", "endpoint", "whk_1", "address")


def ring(*keys: bytes) -> Keyring:
    numbers = iter(range(1000))
    return Keyring(keys, lambda: next(numbers).to_bytes(12, "big"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_is_sealed_opens(value: object) -> None:
    keyring = ring(KEY)
    assert keyring.open(keyring.seal(value, HERE), HERE) == value


@pytest.mark.parametrize(
    "place",
    [
        Place("other", "endpoint", "whk_1", "address"),
        Place("tenant", "secret", "whk_1", "address"),
        Place("tenant", "endpoint", "whk_2", "address"),
        Place("tenant", "endpoint", "whk_1", "secret"),
        Place("tenant\x1fendpoint", "", "whk_1", "address"),
    ],
)
def test_it_opens_in_its_place_only(place: Place) -> None:
    # S4-12 S22
    keyring = ring(KEY)
    with pytest.raises(WrongKey):
        keyring.open(keyring.seal("secret", HERE), place)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_flipped_byte_is_noticed(at: int, by: int) -> None:
    keyring = ring(KEY)
    sealed = bytearray(keyring.seal("a secret of some length", HERE))
    at %= len(sealed)
    sealed[at] ^= by
    with pytest.raises(WrongKey):
        keyring.open(bytes(sealed), HERE)


@pytest.mark.parametrize("length", [0, 1, 5, 16, 17, 32])
def test_a_piece_does_not_open(length: int) -> None:
    keyring = ring(KEY)
    with pytest.raises(WrongKey):
        keyring.open(keyring.seal("a secret of some length", HERE)[:length], HERE)


def test_keys_rotate() -> None:
    # S4-12
    old, both, new = ring(KEY), ring(OTHER, KEY), ring(OTHER)
    sealed = old.seal("x", HERE)
    assert both.open(sealed, HERE) == "x"
    assert not both.is_current(sealed)
    assert both.is_current(both.seal("x", HERE))
    with pytest.raises(WrongKey, match="TOCSIN_SECRET_KEY"):
        new.open(sealed, HERE)
    assert new.open(both.seal("y", HERE), HERE) == "y"


def test_the_same_value_never_looks_the_same() -> None:
    keyring = ring(KEY)
    assert keyring.seal("x", HERE) != keyring.seal("x", HERE)
    assert b"canary" not in keyring.seal("canary", HERE)
    assert KEY not in repr(keyring).encode()
    assert key_id(KEY) not in (KEY[:4], key_id(OTHER))


def test_keys_are_read() -> None:
    one, two = (base64.b64encode(key).decode() for key in (KEY, OTHER))
    assert parse_keys(f" {one} ,{two}") == (KEY, OTHER)
    for text in ("", ",", "short", one[:-2], base64.b64encode(b"x" * 31).decode(), f"{one},nonsense"):
        with pytest.raises(ValueError, match="TOCSIN_SECRET_KEY") as error:
            parse_keys(text)
        assert not text.strip(",") or text not in str(error.value)


@pytest.mark.anyio
async def test_ciphertexts_moved_in_the_database_do_not_open(db: Database, keyring: Keyring) -> None:
    # S4-12 S22: between rows, tenants and columns
    await add_tenant(db, "other")
    places = [("default", "whk_1"), ("default", "whk_2"), ("other", "whk_3")]
    for tenant_id, id_ in places:
        await add_endpoint(db, keyring, endpoint(id_, tenant_id), f"https://example.com/{id_}")
    for (to_tenant, to_id), (from_tenant, from_id) in permutations(places, 2):
        saved = (await db.read("sealed_endpoint", {"tenant_id": to_tenant, "id": to_id}))[0]
        stolen = (await db.read("sealed_endpoint", {"tenant_id": from_tenant, "id": from_id}))[0]
        values = {"tenant_id": to_tenant, "id": to_id, "address_hint": "", "now": 0}
        async with db.transaction() as tx:
            await tx.fetch("update_address", values | {"address_sealed": bytes(stolen[3])})
        with pytest.raises(WrongKey):
            await config.open_endpoint(db, keyring, to_tenant, to_id)
        # and the signing secret put where the address is
        async with db.transaction() as tx:
            await tx.fetch("update_address", values | {"address_sealed": bytes(saved[4])})
        with pytest.raises(WrongKey):
            await config.open_endpoint(db, keyring, to_tenant, to_id)
        async with db.transaction() as tx:
            await tx.fetch("update_address", values | {"address_sealed": bytes(saved[3])})
        assert (await config.open_endpoint(db, keyring, to_tenant, to_id)).address == f"https://example.com/{to_id}"
