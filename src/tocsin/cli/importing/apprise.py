"""A configuration of Apprise, as text or YAML: https://github.com/caronc/apprise/wiki/config

Addresses of services that Tocsin knows itself become endpoints of its own kinds; every other one goes through Apprise.
"""

import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tocsin.cli.importing.found import Found
from tocsin.model.yaml_text import File

OWN_TAGS = "labels.notify"


def read(text: str) -> Found:
    """An endpoint for each address; a rule for each tag, for events whose label `notify` is the tag; and one for what
    has no tag."""
    found = Found()
    lines = of_yaml(text, found) if re.search(r"^\s*(urls|version)\s*:", text, re.MULTILINE) else of_text(text, found)
    by_tag: dict[str, list[str]] = {}
    for where, address, tags in lines:
        name = endpoint(found, where, address)
        for tag in tags or ("",):
            by_tag.setdefault(tag, []).append(name)
    for tag, names in by_tag.items():
        if tag:
            found.rule(
                f"tag {tag}", f"tag {tag}", event_types=["*"], labels={"notify": tag}, webhook_endpoint_ids=names
            )
        else:
            found.rule("without a tag", "without a tag", event_types=["*"], webhook_endpoint_ids=names)
    if any(by_tag):
        found.say("tags", "changed", 'who sends says the tag as the label notify: labels {"notify": "…"}')
    return found


def of_text(text: str, found: Found) -> list[tuple[str, str, tuple[str, ...]]]:
    lines, groups = [], {}
    for number, line in enumerate(text.splitlines(), 1):
        where, content = f"line {number}", line.strip()
        if not content or content.startswith(("#", ";")):
            continue
        if content.lower().startswith("include "):
            found.say(where, "left", "another file: import it by itself")
            continue
        tags, equals, address = content.partition("=")
        if not equals or "://" in tags:
            tags, address = "", content
        if "://" not in address:
            groups[tags.strip()] = tuple(re.split(r"[\s,]+", address.strip()))
            continue
        lines.append((where, address.strip(), tuple(filter(None, re.split(r"[\s,]+", tags.strip())))))
    for group, members in groups.items():
        lines = [
            (where, address, (*tags, group) if set(tags) & set(members) else tags) for where, address, tags in lines
        ]
    return lines


def of_yaml(text: str, found: Found) -> list[tuple[str, str, tuple[str, ...]]]:
    """Raises Wrong."""
    content = File("apprise", text).value
    whole = content if isinstance(content, dict) else {}
    always = as_tags(whole.get("tag"))
    lines = []
    for key in whole:
        if key not in ("version", "urls", "tag", "asset", "groups", "include"):
            found.say(key, "left", "nothing that is known")
    for key in ("asset", "include", "groups"):
        if whole.get(key):
            said = {"include": "another file: import it by itself", "asset": "how Apprise looks is not how Tocsin does"}
            found.say(key, "left", said.get(key, "give its tags to the addresses themselves"))
    urls = whole.get("urls")
    for number, one in enumerate(urls if isinstance(urls, list) else [urls] if urls else []):
        if isinstance(one, str):
            lines.append((f"urls[{number}]", one, always))
            continue
        for address, options in one.items() if isinstance(one, dict) else ():
            given = options if isinstance(options, list) else [options] if isinstance(options, dict) else []
            for some in given or [{}]:
                left = [key for key in some if key not in ("tag", "to")]
                if left:
                    found.say(f"urls[{number}]", "left", f"{', '.join(left)}: set it at the endpoint")
                lines.append((f"urls[{number}]", address, (*always, *as_tags(some.get("tag")))))
    return lines


def as_tags(value: Any) -> tuple[str, ...]:
    given = value if isinstance(value, list) else re.split(r"[\s,]+", str(value)) if value else []
    return tuple(str(one) for one in given if one)


def endpoint(found: Found, where: str, address: str) -> str:
    """The name of the endpoint that it becomes."""
    scheme = address.partition("://")[0].lower()
    try:
        url = urlsplit(address)
        own = OWN.get(scheme, through_apprise)(found, where, address, url)
    except (ValueError, IndexError):
        own = None
    return own or through_apprise(found, where, address, None) or ""


def parts_of(url: Any) -> list[str]:
    return [unquote(part) for part in (url.netloc.rpartition("@")[2], *url.path.split("/")) if part]


def slack(found: Found, where: str, address: str, url: Any) -> str | None:
    """slack://[bot@]T…/B…/key[/#channel], or the webhook's own address."""
    parts = parts_of(url)
    if len(parts) < 3 or not re.fullmatch(r"T[A-Z0-9]+", parts[0]) or not re.fullmatch(r"B[A-Z0-9]+", parts[1]):
        return None
    if len(parts) > 3:
        found.say(where, "changed", "a webhook has its own channel; the one in the address is left out")
    secret = found.secret(f"SLACK_{parts[1]}", f"https://hooks.slack.com/services/{'/'.join(parts[:3])}")
    return found.endpoint(where, "slack", f"slack {parts[1]}", webhook_url=secret)


def discord(found: Found, where: str, address: str, url: Any) -> str | None:
    parts = parts_of(url)
    if len(parts) < 2 or not parts[0].isdigit():
        return None
    secret = found.secret(f"DISCORD_{parts[0]}", f"https://discord.com/api/webhooks/{parts[0]}/{parts[1]}")
    return found.endpoint(where, "discord", f"discord {parts[0]}", webhook_url=secret)


def mattermost(found: Found, where: str, address: str, url: Any) -> str | None:
    """mmost://[bot@]host[:port][/path]/key; mmosts:// over TLS."""
    host, *path = parts_of(url)
    if not path or url.scheme != "mmosts":
        return None
    key = path.pop()
    middle = "".join(f"/{part}" for part in path)
    channel = parse_qs(url.query).get("channel", [""])[0].lstrip("#")
    secret = found.secret(f"MATTERMOST_{host}", f"https://{host}{middle}/hooks/{key}")
    settings = {"channel": channel} if channel else {}
    return found.endpoint(where, "mattermost", f"mattermost {host}", webhook_url=secret, settings=settings)


def telegram(found: Found, where: str, address: str, url: Any) -> str | None:
    match = re.match(r"tgram://(?:bot)?([0-9]{6,12}:[A-Za-z0-9_-]{30,})/([^/?]+)/?([^/?]*)", address)
    if not match or match[3]:
        return None
    token = found.secret("TELEGRAM_BOT_TOKEN", match[1])
    chat = int(match[2]) if re.fullmatch(r"-?\d+", match[2]) else f"@{match[2].lstrip('@')}"
    return found.endpoint(where, "telegram", f"telegram {match[2]}", settings={"bot_token": token, "chat_id": chat})


def pagerduty(found: Found, where: str, address: str, url: Any) -> str | None:
    key = unquote(url.username or "")
    if not re.fullmatch(r"[A-Za-z0-9]{32}", key):
        return None
    region = {"region": "eu"} if parse_qs(url.query).get("region") == ["eu"] else {}
    settings = {"routing_key": found.secret("PAGERDUTY_ROUTING_KEY", key)} | region
    return found.endpoint(where, "pagerduty", "pagerduty", settings=settings)


def ntfy(found: Found, where: str, address: str, url: Any) -> str | None:
    """ntfy://topic is the public server; ntfys://host/topic another one over TLS."""
    parts = parts_of(url)
    if url.username or len(parts) > 2:
        return None
    host, topic = ("ntfy.sh", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    if len(parts) == 2 and url.scheme != "ntfys":
        return None
    secret = found.secret(f"NTFY_{topic}", f"https://{host}/{topic}")
    return found.endpoint(where, "ntfy", f"ntfy {topic}", webhook_url=secret)


def json_post(found: Found, where: str, address: str, url: Any) -> str | None:
    if url.scheme != "jsons" or url.username:
        return None
    found.say(where, "changed", "the body is Tocsin's: docs/webhooks.md; `format` and `template` make another one")
    secret = found.secret(f"WEBHOOK_{url.hostname}", f"https://{url.netloc}{url.path}")
    return found.endpoint(where, "webhook", f"webhook {url.hostname}", webhook_url=secret)


def https(found: Found, where: str, address: str, url: Any) -> str | None:
    if url.hostname == "hooks.slack.com":
        return found.endpoint(where, "slack", "slack", webhook_url=found.secret("SLACK_WEBHOOK_URL", address))
    if url.hostname in ("discord.com", "discordapp.com"):
        return found.endpoint(where, "discord", "discord", webhook_url=found.secret("DISCORD_WEBHOOK_URL", address))
    return None


def through_apprise(found: Found, where: str, address: str, url: Any) -> str | None:
    """Any other: Apprise sends it. Raises nothing."""
    scheme = address.partition("://")[0].lower() or "apprise"
    found.say(where, "changed", f"{scheme}:// goes out through Apprise: pip install 'tocsin[apprise]'")
    return found.endpoint(where, "apprise", scheme, settings={"url": found.secret(f"APPRISE_{scheme}", address)})


OWN = {
    "slack": slack, "discord": discord, "mmost": mattermost, "mmosts": mattermost, "tgram": telegram,
    "pagerduty": pagerduty, "ntfy": ntfy, "ntfys": ntfy, "json": json_post, "jsons": json_post, "https": https,
}  # fmt: skip
