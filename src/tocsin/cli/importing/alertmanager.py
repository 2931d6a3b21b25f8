"""Alertmanager's configuration: receivers to endpoints, routes to rules.
https://prometheus.io/docs/alerting/latest/configuration/

A route becomes a rule: what the routes on the way to it ask for, and none of what the routes before it took. Order
is then no longer needed.
"""

import re
from dataclasses import dataclass
from typing import Any

from tocsin.cli.importing.found import Found, duration_s
from tocsin.model.yaml_text import File, Wrong

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MATCHER = re.compile(r"""^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|(.*?))\s*$""", re.DOTALL)
STANDARD = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}
FIRING, RESOLVED = "alert.firing", "alert.resolved"


@dataclass(frozen=True)
class Matcher:
    label: str
    operator: str
    value: str

    @property
    def cel(self) -> str:
        """An alert without the label has it empty."""
        label, value = quoted(self.label), quoted(self.value)
        there = f"{label} in labels"
        if self.operator == "=":
            return f"{there} && labels[{label}] == {value}" if self.value else f"!({there})"
        if self.operator == "!=":
            return f"!({there}) || labels[{label}] != {value}" if self.value else there
        pattern = quoted(f"^(?:{self.value})$")
        matched = f"{there} && labels[{label}].matches({pattern})"
        if re.fullmatch(self.value, ""):
            matched = f"!({there}) || labels[{label}].matches({pattern})"
        return f"!({matched})" if self.operator == "!~" else matched


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def all_of(parts: list[str]) -> str:
    return " && ".join(f"({part})" if "||" in part and len(parts) > 1 else part for part in parts)


@dataclass(frozen=True)
class Named:
    """What routes refer to by name: receivers as their endpoints, each with whether it hears of what is resolved; and
    intervals of time."""

    receivers: dict[str, list[tuple[str, bool]]]
    hours: dict[str, Any]


@dataclass(frozen=True)
class Way:
    """What is inherited on the way down. `asked` and `taken` are conditions."""

    asked: tuple[str, ...]
    taken: tuple[str, ...]
    settings: dict[str, Any]


def read(text: str) -> Found:
    """Raises Wrong."""
    file = File("alertmanager", text)
    whole = file.value
    if not isinstance(whole, dict) or not isinstance(whole.get("route"), dict):
        raise Wrong("alertmanager", 1, "route", "expected Alertmanager's configuration, with a route")
    found = Found()
    general = whole.get("global") if isinstance(whole.get("global"), dict) else {}
    receivers = {
        str(one.get("name")): receiver(found, one, general or {})
        for one in listed(whole, "receivers")
        if isinstance(one, dict)
    }
    hours = {
        str(one.get("name")): one for key in ("time_intervals", "mute_time_intervals") for one in listed(whole, key)
    }
    route(found, whole["route"], Named(receivers, hours), Way((), (), {}), "route")
    for number, one in enumerate(listed(whole, "inhibit_rules")):
        found.say(
            f"inhibit_rules[{number}]", "left", f"no rule waits for another one: silence, or group ({short(one)})"
        )
    for key in whole:
        if key == "templates":
            found.say(key, "left", "Go templates: a rule's own words are Liquid, see docs/templates.md")
        elif key not in ("global", "route", "receivers", "inhibit_rules", "time_intervals", "mute_time_intervals"):
            found.say(key, "left", "nothing that is known")
    found.say(
        "senders", "changed", "Alertmanager or Prometheus sends to {TOCSIN}/v1/ingest/alertmanager: docs/sources.md"
    )
    return found


def short(value: Any) -> str:
    return ", ".join(f"{key}" for key in value) if isinstance(value, dict) else str(value)


def listed(of: dict[str, Any], key: str) -> list[Any]:
    value = of.get(key)
    return value if isinstance(value, list) else []


# Routes.


def route(
    found: Found,
    given: dict[str, Any],
    named: Named,
    way: Way,
    where: str,
) -> None:
    inherited = {key: given[key] for key in ("receiver", "group_by", *STANDARD) if key in given}
    own = [matcher.cel for matcher in matchers(found, given, where)]
    here = Way((*way.asked, *own), way.taken, way.settings | inherited)
    taken, below = list(here.taken), list(here.taken)
    for number, child in enumerate(listed(given, "routes")):
        if not isinstance(child, dict):
            continue
        place = f"{where}.routes[{number}]"
        route(found, child, named, Way(here.asked, tuple(taken), here.settings), place)
        said = [matcher.cel for matcher in matchers(Found(), child, place)]
        not_there = f"!({all_of(said)})" if said else "false"
        below.append(not_there)  # an alert stays with a route where none of those below it fits
        if not child.get("continue"):
            taken.append(not_there)
    make_rule(found, given, named, Way(here.asked, tuple(below), here.settings), where)


def make_rule(
    found: Found,
    given: dict[str, Any],
    named: Named,
    way: Way,
    where: str,
) -> None:
    name = str(way.settings.get("receiver") or "")
    if "false" in way.taken:
        found.say(where, "left", "routes below it take everything")
        return
    channels = named.receivers.get(name)
    if channels is None:
        found.say(where, "left", f"there is no receiver {name or '(none is named)'}")
        return
    if not channels:
        found.say(where, "left", f"the receiver {name} tells nobody")
        return
    settings = STANDARD | way.settings
    fields: dict[str, Any] = {"condition": all_of([*way.asked, *way.taken])}
    by = settings.get("group_by")
    if by == ["..."]:
        found.say(f"{where}.group_by", "kept", "each alert by itself")
    else:
        fields["group"] = {
            "by": [f"labels.{label}" for label in by or ()][:10],
            "wait_s": duration_s(settings["group_wait"]) or 30,
            "interval_s": duration_s(settings["group_interval"]) or 300,
        }
    fields["changes"] = {"renotify_s": duration_s(settings["repeat_interval"]) or 14_400}
    muted = [
        interval
        for key in listed(given, "mute_time_intervals")
        for interval in spans(found, named.hours.get(key), where)
    ]
    if muted:
        fields["mute"] = muted[:20]
    if given.get("active_time_intervals"):
        found.say(f"{where}.active_time_intervals", "left", "say when it is quiet instead: mute")
    for resolved in (True, False):
        ids = [channel for channel, tells in channels if tells is resolved]
        if ids:
            types = [FIRING, RESOLVED] if resolved else [FIRING]
            title = name if where == "route" else f"{name}: {', '.join(words(given)) or where}"
            found.rule(where, title, event_types=types, webhook_endpoint_ids=ids, **fields)


def words(given: dict[str, Any]) -> list[str]:
    return [f"{one.label}{one.operator}{one.value}" for one in matchers(Found(), given, "")]


def matchers(found: Found, given: dict[str, Any], where: str) -> list[Matcher]:
    made = []
    for key, operator in (("match", "="), ("match_re", "=~")):
        pairs = given.get(key)
        made += (
            [Matcher(label, operator, str(value)) for label, value in pairs.items()] if isinstance(pairs, dict) else []
        )
    texts = [part for text in listed(given, "matchers") for part in split(str(text))]
    for text in texts:
        match = MATCHER.match(text)
        if match is None:
            found.say(f"{where}.matchers", "left", f"{text} is no matcher")
            continue
        value = match[3] if match[3] is not None else match[4]
        made.append(Matcher(match[1], match[2], re.sub(r"\\(.)", r"\1", value) if match[3] is not None else value))
    return made


def split(text: str) -> list[str]:
    """`{a="b", c=~"d|e"}` is several."""
    inner = text.strip().removeprefix("{").removesuffix("}")
    return [part for part in re.findall(r"""(?:[^,"]|"(?:[^"\\]|\\.)*")+""", inner) if part.strip()]


def spans(found: Found, interval: Any, where: str) -> list[dict[str, Any]]:
    """Hours that come back each week, of a named interval."""
    if not isinstance(interval, dict):
        found.say(f"{where}.mute_time_intervals", "left", "there is no interval of this name")
        return []
    made = []
    for one in listed(interval, "time_intervals"):
        if any(one.get(key) for key in ("days_of_month", "months", "years")):
            found.say(f"interval {interval.get('name')}", "left", "days of a month, months and years: make a silence")
            continue
        days = [day for text in listed(one, "weekdays") for day in days_of(str(text))]
        zone = {"time_zone": str(one["location"])} if one.get("location") else {}
        for span in listed(one, "times") or [{"start_time": "00:00", "end_time": "24:00"}]:
            end = str(span.get("end_time", "24:00")).replace("24:00", "00:00")
            hours: dict[str, Any] = {"start": str(span.get("start_time", "00:00")), "end": end}
            made.append(hours | ({"weekdays": days} if days else {}) | zone)
    return made


def days_of(text: str) -> list[int]:
    first, _, last = text.lower().partition(":")
    if first not in DAYS or (last and last not in DAYS):
        return []
    return list(range(DAYS.index(first), DAYS.index(last or first) + 1))


# Receivers.


def receiver(found: Found, given: dict[str, Any], general: dict[str, Any]) -> list[tuple[str, bool]]:
    """The endpoints that it becomes, and whether each hears of what is resolved."""
    name, made = str(given.get("name")), []
    for key, value in given.items():
        if key == "name":
            continue
        for number, config in enumerate(value if isinstance(value, list) else []):
            where = f"receiver {name}.{key}[{number}]"
            make = KINDS.get(key)
            if make is None or not isinstance(config, dict):
                found.say(where, "left", f"{key}: no provider of Tocsin; Apprise may have it")
                continue
            endpoint = make(found, where, name, config, general)
            if endpoint:
                made.append((endpoint, bool(config.get("send_resolved", key not in QUIET))))
                drop = [field for field in config if field in LOOKS]
                if drop:
                    found.say(
                        where, "changed", f"{', '.join(drop)}: the words are Tocsin's; docs/templates.md for your own"
                    )
    if not made:
        found.say(f"receiver {name}", "left", "it tells nobody")
    return made


QUIET = ("slack_configs", "email_configs")  # send_resolved is off there by itself
LOOKS = (
    "title", "text", "html", "headers", "description", "message", "fields", "actions", "color", "pretext", "fallback",
    "title_link", "footer", "details", "icon_emoji", "icon_url", "username", "blocks",
)  # fmt: skip


def given_or_file(found: Found, where: str, config: dict[str, Any], key: str, otherwise: Any = "") -> str:
    """A secret in the file, or "" with a word about the file that it is in."""
    value = config.get(key) or otherwise
    if not value and config.get(f"{key}_file"):
        found.say(where, "changed", f"{key} is in {config[f'{key}_file']}: put it into the environment")
        return "…"
    return str(value or "")


def slack(found: Found, where: str, name: str, config: dict[str, Any], general: dict[str, Any]) -> str:
    address = given_or_file(found, where, config, "api_url", general.get("slack_api_url"))
    if not address:
        found.say(where, "left", "no api_url, here or in global")
        return ""
    if config.get("channel"):
        found.say(where, "changed", f"{config['channel']}: a webhook has its own channel; slack_bot may choose one")
    return found.endpoint(where, "slack", name, webhook_url=found.secret(f"{name}_slack_url", address))


def discord(found: Found, where: str, name: str, config: dict[str, Any], general: dict[str, Any]) -> str:
    address = given_or_file(found, where, config, "webhook_url")
    return found.endpoint(where, "discord", name, webhook_url=found.secret(f"{name}_discord_url", address))


def teams(found: Found, where: str, name: str, config: dict[str, Any], general: dict[str, Any]) -> str:
    address = given_or_file(found, where, config, "webhook_url")
    if "webhook.office.com" in address:
        found.say(where, "left", "Microsoft has retired this kind of address: make one with Power Automate")
        return ""
    return found.endpoint(where, "teams", name, webhook_url=found.secret(f"{name}_teams_url", address))


def pagerduty(found: Found, where: str, name: str, config: dict[str, Any], general: dict[str, Any]) -> str:
    key = given_or_file(found, where, config, "routing_key")
    if not key:
        found.say(where, "left", "service_key: make an integration of Events API v2, and take its routing key")
        return ""
    return found.endpoint(
        where, "pagerduty", name, settings={"routing_key": found.secret(f"{name}_pagerduty_key", key)}
    )


def opsgenie(found: Found, where: str, name: str, config: dict[str, Any], general: dict[str, Any]) -> str:
    key = given_or_file(found, where, config, "api_key", general.get("opsgenie_api_key"))
    region = {"region": "eu"} if ".eu." in str(config.get("api_url") or general.get("opsgenie_api_url") or "") else {}
    settings = {"api_key": found.secret(f"{name}_opsgenie_key", key)} | region
    return found.endpoint(where, "opsgenie", name, settings=settings)


def email(found: Found, where: str, name: str, config: dict[str, Any], general: dict[str, Any]) -> str:
    to = [part.strip() for part in str(config.get("to") or "").split(",") if part.strip()]
    host, _, port = str(config.get("smarthost") or general.get("smtp_smarthost") or "").rpartition(":")
    settings: dict[str, Any] = {"to": to}
    sender = str(config.get("from") or general.get("smtp_from") or "")
    match = re.search(r"<([^>]+)>", sender)
    settings |= {"from_address": match[1] if match else sender} if sender else {}
    if host:
        settings |= {"smtp_host": host, "smtp_port": int(port) if port.isdigit() else 587}
        if config.get("require_tls", general.get("smtp_require_tls", True)) is False:
            settings["smtp_tls"] = "none"
    user = str(config.get("auth_username") or general.get("smtp_auth_username") or "")
    password = given_or_file(found, where, config, "auth_password", general.get("smtp_auth_password"))
    if user:
        settings |= {"smtp_username": user, "smtp_password": found.secret(f"{name}_smtp_password", password)}
    return found.endpoint(where, "email", name, settings=settings)


def telegram(found: Found, where: str, name: str, config: dict[str, Any], general: dict[str, Any]) -> str:
    token = given_or_file(found, where, config, "bot_token", general.get("telegram_bot_token"))
    settings: dict[str, Any] = {"bot_token": found.secret(f"{name}_telegram_token", token)}
    settings |= {"chat_id": config["chat_id"]} if config.get("chat_id") else {}
    settings |= {"message_thread_id": config["message_thread_id"]} if config.get("message_thread_id") else {}
    settings |= {"silent": True} if config.get("disable_notifications") else {}
    return found.endpoint(where, "telegram", name, settings=settings)


def webhook(found: Found, where: str, name: str, config: dict[str, Any], general: dict[str, Any]) -> str:
    address = given_or_file(found, where, config, "url")
    if address.startswith("http://"):
        found.say(where, "left", "http: webhooks are https, or the operator allows this one (TOCSIN_ALLOW_TARGETS)")
        return ""
    http = config.get("http_config") if isinstance(config.get("http_config"), dict) else {}
    settings: dict[str, Any] = {}
    basic = (http or {}).get("basic_auth") or {}
    bearer = ((http or {}).get("authorization") or {}).get("credentials")
    if basic.get("username"):
        password = found.secret(f"{name}_password", str(basic.get("password") or "…"))
        settings = {"auth": "basic", "username": basic["username"], "password": password}
    elif bearer:
        settings = {"auth": "bearer", "token": found.secret(f"{name}_token", str(bearer))}
    found.say(
        where, "changed", "the body is Tocsin's, not Alertmanager's: docs/webhooks.md; `template` makes another one"
    )
    return found.endpoint(
        where, "webhook", name, webhook_url=found.secret(f"{name}_webhook_url", address), settings=settings
    )


KINDS = {
    "slack_configs": slack, "discord_configs": discord, "msteams_configs": teams, "msteamsv2_configs": teams,
    "pagerduty_configs": pagerduty, "opsgenie_configs": opsgenie, "email_configs": email, "telegram_configs": telegram,
    "webhook_configs": webhook,
}  # fmt: skip
