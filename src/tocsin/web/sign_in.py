"""Signing in with a password: how often somebody may try, and an answer that tells nothing of who has an account.

A try counts against two paces before anything is compared, so that tries at the same moment count as well: that of
the address it comes from, and that of the account. A browser that has signed in to this account before has a pace of
its own instead of the account's, so that strangers who use that up do not lock the owner out
(https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies). Paces are rows: they hold over
processes and restarts.
"""

import base64
import binascii
import hashlib

import structlog

from tocsin.app import App, new_key
from tocsin.model.account import Account
from tocsin.model.errors import Busy, Unauthorised
from tocsin.store import accounts
from tocsin.store.accounts import Browser, Pace
from tocsin.store.sealing import Place, WrongKey
from tocsin.web.client_address import neighbourhood
from tocsin.web.passwords import MOST, Passwords

DEVICE = "tocsin-device"
DEVICE_S = 365 * 86_400

OF_ACCOUNT = Pace(10, 300_000)
"""Ten at once, then one in five minutes: some 300 a day, from wherever they come."""
OF_DEVICE = Pace(10, 60_000)
OF_ADDRESS = Pace(30, 10_000)
"""A party behind one address, which may be many people."""

REFUSED = "The email address or the password is wrong."
log = structlog.get_logger()


class SignIn:
    def __init__(self, app: App, passwords: Passwords) -> None:
        self.app = app
        self.passwords = passwords

    async def check(self, email: str, password: str, browser: Browser, device: str) -> Account:
        """The account, where the password is its own. Raises Unauthorised, alike whatever is wrong, and Busy (429)."""
        email = normal_email(email)
        paces = self.paces(email, browser.address, device)
        await self.admit(paces)
        account = await accounts.by_email(self.app.db, email)
        stored = account.password if account else ""
        if not await self.passwords.verify(stored, password[: MOST + 1]) or account is None:
            log.info("sign_in.refused", address=browser.address)
            raise Unauthorised(REFUSED)
        await self.succeeded(account, password, paces)
        return account

    def paces(self, email: str, address: str, device: str) -> dict[str, Pace]:
        known = self.is_device_of(email, device)
        whose = ("device", device, OF_DEVICE) if known else ("account", email, OF_ACCOUNT)
        return {key_of(*whose[:2]): whose[2], key_of("address", neighbourhood(address)): OF_ADDRESS}

    async def admit(self, paces: dict[str, Pace]) -> None:
        """Raises Busy, which counts nothing."""
        app, now_ms = self.app, self.app.clock_ms()
        for key, pace in paces.items():
            if wait_ms := await accounts.wait_ms(app.db, key, pace, now_ms):
                raise too_many(wait_ms)
        async with app.db.transaction() as tx:
            for key, pace in paces.items():
                if not await accounts.take_try(tx, key, pace, now_ms):
                    raise too_many(pace.every_ms)

    async def succeeded(self, account: Account, password: str, paces: dict[str, Pace]) -> None:
        """The owner's tries are forgotten; the address gets this one back, and no more."""
        anew = await self.passwords.hash(password) if self.passwords.is_outdated(account.password) else ""
        async with self.app.db.transaction() as tx:
            for key, pace in paces.items():
                if pace is OF_ADDRESS:
                    await accounts.give_back(tx, key, pace)
                else:
                    await accounts.clear_tries(tx, key)
            if anew:
                await accounts.set_password(tx, account.user_id, anew, self.app.clock_ms())

    # A browser that has signed in before.

    def device_of(self, email: str) -> str:
        """What such a browser keeps: sealed, so that nobody makes one, and bound to the account."""
        return base64.urlsafe_b64encode(self.app.keyring.seal(new_key(), device_place(email))).decode()

    def is_device_of(self, email: str, device: str) -> bool:
        try:
            self.app.keyring.open(base64.urlsafe_b64decode(device.encode()), device_place(email))
        except (WrongKey, binascii.Error, ValueError):
            return False
        return True


def device_place(email: str) -> Place:
    return Place("", "account", email, "device")


def key_of(what: str, value: str) -> str:
    """Of a pace: the names of strangers, right or wrong, are not kept."""
    return f"{what}:{hashlib.sha256(value.encode('utf-8', 'replace')).hexdigest()[:32]}"


def too_many(wait_ms: int) -> Busy:
    return Busy("Too many tries: wait a little.", retry_after_s=max(1, -(-wait_ms // 1000)), status=429)


def normal_email(email: str) -> str:
    """Addresses that differ in the size of their letters are one, as every mail service has it."""
    return email.strip().lower()
