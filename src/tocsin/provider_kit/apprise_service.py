"""Apprise's services: which of them may be used, and an address as the service that it stands for.

Only services that are spoken to over HTTP by `requests` are let in, because that is what the address guard can watch.
What opens sockets of its own, runs programs, reads files or talks to the desktop is refused: mail, IRC, XMPP, MQTT,
syslog, D-Bus, … Apprise is an extra: nothing of it is imported before it is needed.

Addresses:  https://appriseit.com/services/
"""

import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

from tocsin.model.errors import Invalid
from tocsin.provider_kit.text import cut, masked

EXTRA = "tocsin[apprise]"
FIELD = "settings.url"
INSTALL = f"the extra {EXTRA}, which is not installed: pip install '{EXTRA}'"

OTHER_WAYS = frozenset({
    "asyncio", "ctypes", "dbus", "ftplib", "gi", "gntp", "hid", "http.client", "multiprocessing", "paho", "select",
    "slixmpp", "smpplib", "smtplib", "socket", "ssl", "subprocess", "syslog", "tempfile", "urllib.request",
    "win32api", "apprise.utils.socket", "apprise.utils.pgp",
})  # fmt: skip
"""Modules by which a service could reach the world, or this machine, past the address guard."""

TITLE_SPARE = 32
"""Characters that Apprise adds where it puts the title into the text: a tag and a line end, or a heading."""


def service(url: str) -> Any:
    """The plugin of Apprise that this address stands for, ready to notify.

    Raises:
        Invalid: Apprise is not installed, does not understand the address, or the service may not be used. The address
            is not repeated.
    """
    apprise, plugins, manager = _apprise()
    if not url.isascii() or not url.isprintable() or " " in url:
        raise Invalid(FIELD, masked(url), "an address in ASCII without spaces, percent-encoded")
    try:
        parts = plugins.url_to_dict(url)
    except Exception:  # its parsers raise what they like on what they did not expect
        parts = None
    if not parts:
        raise Invalid(FIELD, masked(url), "an address as https://appriseit.com/services/ has it")
    kind = manager[parts["schema"]]
    name = f"{parts['schema']}://"
    if reason := refusal(kind):
        raise Invalid(FIELD, name, f"a service that is reached over HTTP: {reason}")
    if not kind.enabled:
        raise Invalid(FIELD, name, "a service whose own requirements are installed")
    try:
        plugin = apprise.Apprise.instantiate(parts, asset=_asset(), suppress_exceptions=False)
    except Exception:  # says what it was given, secrets included
        plugin = None
    if plugin is None:
        shape = str(kind.templates[0]).replace("{schema}", parts["schema"])
        raise Invalid(FIELD, masked(url), f"what {kind.service_name} needs, such as {shape}")
    _check_options(plugin, apprise.AppriseAttachment)
    return plugin


def _check_options(plugin: Any, attachment: type[Any]) -> None:
    if not plugin.verify_certificate:
        raise Invalid(FIELD, "verify=no", "an address without it: certificates are always checked")
    for name, value in vars(plugin).items():
        if isinstance(value, attachment) and len(value):
            raise Invalid(FIELD, f"a file as {name.strip('_')}", "an address without files: Tocsin opens none for it")


@cache
def refusal(kind: Any) -> str:
    """Why a service's plugin (a class) may not be used; "" where it may."""
    modules = list(_modules(kind))
    if not modules:
        return "this is not one of Apprise's own"
    used = {name for module in modules for name in _used(module)}
    if others := sorted(used & OTHER_WAYS):
        return f"this one uses {', '.join(others)}"
    return "" if "requests" in used else "this one is not"


def _modules(kind: type[Any]) -> Iterator[ModuleType]:
    """The modules that a plugin is made of, those of its package included; none for what Apprise did not ship."""
    packages = {
        ".".join(one.__module__.split(".")[:3])
        for one in kind.__mro__
        if one.__module__.startswith("apprise.plugins.") and one.__module__ != "apprise.plugins.base"
    }
    for name, module in list(sys.modules.items()):
        if ".".join(name.split(".")[:3]) in packages:
            yield module


def _used(module: ModuleType) -> Iterator[str]:
    """The modules that a module names, and those that its names come from, each also by its package."""
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str):
            yield name
            yield name.partition(".")[0]


def fitted(plugin: Any, title: str, text: str) -> tuple[str, str]:
    """The title and the text as this service takes them, cut where a reader would, not in an escape.

    Where a service has no titles, Apprise puts the title above the text: both share what the text may have.
    """
    form = plugin.resolve_format("text")
    convert = importlib.import_module("apprise.conversion").convert_between

    def escaped(words: str) -> str:
        return str(convert("text", form, words))

    limit = int(plugin.body_maxlen)
    if not text:
        title, text = "", title
    if plugin.title_maxlen > 0:
        return cut(title, int(plugin.title_maxlen)), _cut(text, limit, escaped)
    title = _cut(title, limit // 2 - TITLE_SPARE, escaped)
    left = limit - len(escaped(title)) - TITLE_SPARE if title else limit
    return title, _cut(text, left, escaped)


def _cut(text: str, limit: int, escaped: Callable[[str], str]) -> str:
    """As much of the text as fits once it is escaped; Apprise escapes it itself."""
    kept = cut(text, limit)
    while kept and len(inside := escaped(kept)) > limit:
        kept = cut(kept, len(kept) - 1 - (len(inside) - limit) // 10)
    return kept


def _apprise() -> tuple[Any, Any, Any]:
    """(apprise, its plugins, its manager of them)"""
    logging.getLogger("apprise").propagate = False  # it logs addresses
    try:
        apprise: Any = importlib.import_module("apprise")
    except ImportError:
        raise Invalid(FIELD, "an address of Apprise's", INSTALL) from None
    if not logging.getLogger("apprise").handlers:
        logging.getLogger("apprise").addHandler(logging.NullHandler())
    manager: Any = importlib.import_module("apprise.manager_plugins")
    return apprise, importlib.import_module("apprise.plugins"), manager.NotificationManager()


@cache
def _asset() -> Any:
    """How messages are signed: as Tocsin's, without Apprise's pictures, and with nothing kept on disk."""
    common: Any = importlib.import_module("apprise.common")
    apprise: Any = importlib.import_module("apprise")
    return apprise.AppriseAsset(
        app_id="Tocsin",
        app_desc="Tocsin",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        http_redirects=False,
        interpret_emojis=False,
        secure_logging=True,
        storage_mode=common.PersistentStoreMode.MEMORY,
    )
