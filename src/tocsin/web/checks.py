"""What can be looked at in a Tocsin that runs or is about to. Each check says what is, and what to do about it; none of
them raises or shows a secret."""

import datetime as dt
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from tocsin.app import DATABASE_FILE, KEY_FILE, keyring_of, switched_off
from tocsin.model.errors import Refusal
from tocsin.outbound.address_guard import parse_allow_targets
from tocsin.outbound.http import parse_connect_to
from tocsin.outbound.proxy import parse_proxy
from tocsin.outbound.tls import system_trust
from tocsin.settings import Settings, SettingsError
from tocsin.store import config, log, retention, sqlite
from tocsin.store.database import Database
from tocsin.store.sealing import WrongKey
from tocsin.web.origin import open_to_others
from tocsin.web.people import check_sign_in
from tocsin.web.routes import LAST

OLDEST_PYTHON = (3, 11)
EARLIEST_YEAR = 2025
"""This program did not exist before: a clock that says so was never set."""

CLOCK_WARNING_MS, CLOCK_PROBLEM_MS = 5_000, 30_000
"""Processes that share a store compare its times with their own clocks; a lease is 60 s."""

LITTLE_BYTES, FEW_BYTES = 1024**3, 100 * 1024**2
Level = Literal["ok", "warning", "problem"]


class Finding(Struct, frozen=True):
    """`found` says what is; `mend` says what to do, where there is something to do."""

    level: Level
    check: str
    found: str
    mend: str = ""


def python() -> Finding:
    said = sys.version.split()[0]
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return Finding("ok", "python", said)
    return Finding("problem", "python", f"{said} is too old.", "Install Python 3.11 or newer and set Tocsin up anew.")


def targets(settings: Settings) -> Iterator[Finding]:
    """The settings that say where messages may go, and the two of them that widen it."""
    for name, text, parse, effect in (
        ("TOCSIN_ALLOW_TARGETS", settings.allow_targets, parse_allow_targets, "private addresses may be reached"),
        ("TOCSIN_CONNECT_TO", settings.connect_to, parse_connect_to, "messages go elsewhere than they are meant for"),
        ("TOCSIN_DENY_TARGETS", settings.deny_targets, lambda text: parse_allow_targets("", deny=text), ""),
        ("TOCSIN_EGRESS_ONLY", settings.egress_only, lambda text: parse_allow_targets("", only=text), ""),
        ("TOCSIN_EGRESS_PROXY", settings.egress_proxy, parse_proxy, ""),
        ("TOCSIN_CA_FILE", settings.ca_file, system_trust, ""),
    ):
        try:
            parse(text)
            if text.strip() and effect:
                yield Finding("warning", "targets", f"{name} is in force: {effect}: {text}.", "Unset it if not meant.")
        except Refusal as refusal:
            yield Finding("problem", "targets", refusal.detail, f"Correct {name}; no server starts with it.")


def providers(settings: Settings) -> Iterator[Finding]:
    for off in switched_off(settings):
        yield Finding("warning", "providers", f"{off}: its messages are suppressed.", "Switch it on to send again.")


def sign_in(settings: Settings) -> Iterator[Finding]:
    try:
        check_sign_in(settings)
    except SettingsError as error:
        yield Finding("problem", "sign-in", str(error), "Correct it; no server starts with it.")


def exposure(settings: Settings) -> Iterator[Finding]:
    if unsafe := open_to_others(settings):
        yield Finding("warning", "exposure", unsafe, "Put TLS in front, or listen on 127.0.0.1.")


def data_directory(settings: Settings) -> Finding:
    folder = Path(settings.data_dir)
    found = nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=found):
            pass
    except OSError as error:
        mend = f"Let this user write there (chown, chmod, or mount it writable), or set TOCSIN_DATA_DIR. Now: {found}."
        return Finding("problem", "data", f"{folder} cannot be written: {error.strerror}.", mend)
    if not folder.exists():
        return Finding("ok", "data", f"{folder} will be made at the first start")
    return Finding("ok", "data", f"{folder.resolve()} can be written")


def nearest(path: Path) -> Path:
    """The path, or the first folder above it that exists."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.is_dir())


def key_file(settings: Settings) -> Finding:
    """The key that seals secrets: present, sound and its owner's alone. Whether it is the right one, `store` says."""
    if settings.secret_key:
        try:
            keyring_of(settings)
        except SettingsError as error:
            return Finding("problem", "key", str(error), "Correct it, or unset it to use the data directory's key.")
        return Finding("ok", "key", "taken from TOCSIN_SECRET_KEY")
    file = Path(settings.data_dir) / KEY_FILE
    if not file.exists():
        if settings.is_sqlite and (Path(settings.data_dir) / DATABASE_FILE).exists():
            mend = f"Put {KEY_FILE} back from a backup, or set TOCSIN_SECRET_KEY to it, before the next start."
            return Finding("problem", "key", f"{file} is gone, and the store was sealed with it.", mend)
        return Finding("ok", "key", f"{file} will be made at the first start")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return Finding("problem", "key", f"{file} can be read by others (mode {mode:04o}).", f"chmod 600 {file}")
    try:
        keyring_of(settings)
    except SettingsError as error:
        return Finding("problem", "key", str(error), f"Put the right {KEY_FILE} back, or set TOCSIN_SECRET_KEY.")
    return Finding("ok", "key", f"{file} is its owner's alone")


def disk_space(settings: Settings) -> Finding:
    folder = nearest(Path(settings.data_dir))
    free = shutil.disk_usage(folder).free
    said = f"{free / 1024**3:.1f} GB free at {folder}"
    mend = "Make room, or lower TOCSIN_RETENTION_DAYS: when the disk is full, events are refused with 503."
    if free < FEW_BYTES:
        return Finding("problem", "disk", f"{said}.", mend)
    return Finding("warning", "disk", f"{said}.", mend) if free < LITTLE_BYTES else Finding("ok", "disk", said)


def machine(settings: Settings, now_ms: int) -> list[Finding]:
    """Settings and machine: what needs no store."""
    findings = [*targets(settings), *providers(settings), data_directory(settings), key_file(settings)]
    findings += [disk_space(settings), clock(now_ms), *exposure(settings), *sign_in(settings)]
    return [*findings, sqlite_version()] if settings.is_sqlite else findings


async def durability(database: Database) -> list[Finding]:
    return [
        Finding("problem", "durability", weakness, "Until then a power cut loses what was accepted.")
        for weakness in await database.weaknesses()
    ] or [Finding("ok", "durability", "what is accepted survives a power cut")]


def clock(now_ms: int) -> Finding:
    now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    said = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now.year < EARLIEST_YEAR:
        return Finding("problem", "clock", f"It says {said}: it was never set.", SET_CLOCK)
    return Finding("ok", "clock", said)


SET_CLOCK = "Set the clock and keep it right, with chrony or systemd-timesyncd: retries and expiry go by it."


def sqlite_version() -> Finding:
    said = sqlite.library_version()
    if tuple(int(part) for part in said.split(".")) >= sqlite.OLDEST:
        return Finding("ok", "sqlite", f"{said}, brought by apsw")
    oldest = ".".join(map(str, sqlite.OLDEST))
    mend = "Install the apsw wheel that Tocsin's requirements name: it brings its own SQLite."
    return Finding("problem", "sqlite", f"{said} can corrupt a write-ahead log; {oldest} or newer is needed.", mend)


async def reached(database: Database) -> Finding:
    if database.dialect == "sqlite":
        return Finding("ok", "store", f"{DATABASE_FILE} opens")
    number = int((await database.read("server_version"))[0][0])
    return Finding("ok", "store", f"PostgreSQL {number // 10_000}.{number % 10_000} answers")


async def sealed(settings: Settings, database: Database) -> Finding:
    """Whether the key at hand is the one that sealed this store's secrets. A key is not made here."""
    if not await database.read("get_meta", {"name": "key_check"}):
        return Finding("ok", "sealed", "nothing is sealed yet")
    if not settings.secret_key and not (Path(settings.data_dir) / KEY_FILE).exists():
        mend = "Set TOCSIN_SECRET_KEY to the key of the other processes, or put the key file back."
        return Finding("problem", "sealed", "The store is sealed, and there is no key here.", mend)
    try:
        await config.make_key_check(database, keyring_of(settings))
    except WrongKey as error:
        mend = "Put the right key back, or several: TOCSIN_SECRET_KEY=new,old. Without it every webhook is set up anew."
        return Finding("problem", "sealed", f"The key is not the one that sealed this store. {error}", mend)
    except SettingsError as error:
        return Finding("problem", "sealed", str(error), "Correct the key.")
    return Finding("ok", "sealed", "the key opens this store's secrets")


async def times(database: Database, clock_ms: Callable[[], int]) -> Finding:
    """Our clock beside the database's, where that is another machine's; beside the newest event, where it is ours."""
    if database.dialect == "sqlite":
        return await beside_newest_event(database, clock_ms())
    before_ms = clock_ms()
    theirs_ms = int((await database.read("database_time"))[0][0])
    ahead_ms = (before_ms + clock_ms()) // 2 - theirs_ms
    said = f"{abs(ahead_ms) / 1000:.1f} s {'ahead of' if ahead_ms > 0 else 'behind'} PostgreSQL's clock"
    if abs(ahead_ms) < CLOCK_WARNING_MS:
        return Finding("ok", "times", f"within {CLOCK_WARNING_MS // 1000} s of PostgreSQL's clock")
    return Finding("warning" if abs(ahead_ms) < CLOCK_PROBLEM_MS else "problem", "times", f"{said}.", SET_CLOCK)


async def beside_newest_event(database: Database, now_ms: int) -> Finding:
    newest_ms = 0
    for tenant_id in await retention.tenants(database):
        for event in await log.list_events(database, tenant_id, before=LAST, limit=1, filters={}):
            newest_ms = max(newest_ms, event.received_ms)
    behind_ms = newest_ms - now_ms
    if behind_ms > CLOCK_WARNING_MS:
        said = f"The clock is {behind_ms / 1000:.0f} s behind the newest event that was received: it was set back."
        return Finding("problem", "times", said, SET_CLOCK)
    return Finding("ok", "times", "no event is from the future")


def masked(finding: Finding, settings: Settings) -> Finding:
    """A driver's error may repeat the address it was given."""
    found, mend = finding.found, finding.mend
    for secret, shown in hidden(settings):
        found, mend = found.replace(secret, shown), mend.replace(secret, shown)
    return Finding(finding.level, finding.check, found, mend)


def hidden(settings: Settings) -> Iterator[tuple[str, str]]:
    """What must not be shown, and what is shown instead."""
    for secret in (settings.secret_key, settings.slack_webhook_url):
        if secret:
            yield secret, "***"
    if not settings.database_url:
        return
    yield settings.database_url, without_password(settings.database_url)
    try:
        parts = urlsplit(settings.database_url)
        given = [parts.password or "", *(value for name, value in parse_qsl(parts.query) if name == "password")]
    except ValueError:
        return
    for password in given:
        for form in {password, unquote(password)} - {""}:
            yield form, "***"


def without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
        query = urlencode([(name, "***" if name == "password" else value) for name, value in parse_qsl(parts.query)])
        where = parts.netloc.rpartition("@")[2]
        user = f"{parts.username}:***@" if parts.password else f"{parts.username}@" if parts.username else ""
        return urlunsplit((parts.scheme, user + where, parts.path, query, ""))
    except ValueError:
        return "***"
