"""A Slack message as HTML: what an incoming webhook or a bot is sent, as people would see it in the channel.

Blocks:   https://docs.slack.dev/reference/block-kit/blocks
Markup:   https://docs.slack.dev/messaging/formatting-message-text

Everything is text or markup made here: no script, nothing loaded, no style attributes (an attachment's colour is the
`fill` of a shape), so a strict content security policy may stay strict. Images show their alternative text.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from html import escape
from typing import Any

INDENTS = 3
"""How far STYLE moves a list to the right; what lies deeper stays there."""

Element = dict[str, Any]

BELL = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 36 36"><rect width="36" height="36" rx="8" fill="#1f6feb"/>'
    '<path d="M18 7.5c-4.1 0-6.8 3-6.8 7v4.6l-2.2 4.1c-.4.8.1 1.6 1 1.6h16c.9 0 1.4-.8 1-1.6l-2.2-4.1v-4.6c0-4-2.7-7-6'
    '.8-7z" fill="#fff"/><path d="M15 26.5a3 3 0 0 0 6 0z" fill="#fff"/></svg>'
)
"""Tocsin's own picture."""


def html(body: bytes, at_ms: int | None = None) -> str:
    """A fragment for STYLE. `at_ms` is when it was posted, Unix milliseconds. What is no message is shown as text."""
    try:
        said = message(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        said = f"<pre>{escape(body.decode('utf-8', 'replace'))}</pre>"
    when = "" if at_ms is None else f" {time_of(at_ms // 1000, '%H:%M UTC')}"
    made = (
        f'<article class="slack"><div class="slack-avatar" aria-hidden="true">{BELL}</div><div class="slack-post">'
        f'<p class="slack-by"><b>Tocsin</b> <span>APP</span>{when}</p>{said}</div></article>'
    )
    return made.encode("utf-8", "replace").decode()  # lone surrogates, which JSON can hold and UTF-8 cannot


def message(payload: Element) -> str:
    """Its blocks, or its text where it has none; its attachments below."""
    made = blocks(payload.get("blocks"))
    if not made and payload.get("text"):
        made = f"<div>{marked(str(payload['text']), formats=payload.get('mrkdwn') is not False)}</div>"
    return made + "".join(attachment(one) for one in payload.get("attachments") or ())


def attachment(one: Element) -> str:
    """Its blocks beside a bar in its colour."""
    found = str(one.get("color", ""))
    colour = NAMED.get(found, found if _COLOUR.fullmatch(found) else "")
    bar = f'<rect width="100%" height="100%" rx="2" fill="{escape(colour)}"/>' if colour else ""
    inner = blocks(one.get("blocks")) or f"<div>{marked(str(one.get('text') or one.get('fallback') or ''))}</div>"
    return f'<div class="slack-attachment"><svg class="slack-bar" aria-hidden="true">{bar}</svg>{inner}</div>'


NAMED = {"good": "#2EB67D", "warning": "#DE9B00", "danger": "#D72D30"}
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")


def blocks(found: Any) -> str:
    return "".join(block(one) for one in found) if isinstance(found, list) else ""


def block(one: Element) -> str:
    """One that is not known here says what it is, so that nothing is missing in silence."""
    kind = str(one.get("type", ""))
    render = BLOCKS.get(kind)
    return render(one) if render else f'<p class="slack-context">[{escape(kind)}]</p>'


def header(one: Element) -> str:
    return f"<h3>{broken(escape(str(one['text']['text'])))}</h3>"


def section(one: Element) -> str:
    """Text, then fields in two columns; a button stands beside them."""
    made = f"<div>{words(one['text'])}</div>" if one.get("text") else ""
    if fields := one.get("fields"):
        made += '<ul class="slack-fields">' + "".join(f"<li>{words(field)}</li>" for field in fields) + "</ul>"
    if one.get("accessory"):
        made = f'<div class="slack-beside"><div>{made}</div>{button(one["accessory"])}</div>'
    return made


def context(one: Element) -> str:
    shown = "".join(f"<div>{words(element)}</div>" for element in one["elements"])
    return f'<div class="slack-context">{shown}</div>'


def actions(one: Element) -> str:
    return f'<p class="slack-actions">{"".join(button(element) for element in one["elements"])}</p>'


def divider(one: Element) -> str:
    return "<hr>"


def image(one: Element) -> str:
    return f'<p class="slack-context">{escape(str(one.get("alt_text") or "Image"))}</p>'


def rich_text(one: Element) -> str:
    return f'<div class="slack-rich">{"".join(rich(element) for element in one["elements"])}</div>'


BLOCKS: dict[str, Callable[[Element], str]] = {
    "header": header,
    "section": section,
    "context": context,
    "actions": actions,
    "divider": divider,
    "image": image,
    "rich_text": rich_text,
}


def rich(one: Element) -> str:
    """A part of a rich text: lines, a list, code or a quotation."""
    if one["type"] == "rich_text_list":
        tag = "ol" if one.get("style") == "ordered" else "ul"
        indent = min(max(int(one.get("indent") or 0), 0), INDENTS)
        items = "".join(f"<li>{pieces(item['elements'])}</li>" for item in one["elements"])
        return f'<{tag} class="slack-list slack-indent-{indent}">{items}</{tag}>'
    tag = {"rich_text_preformatted": "pre", "rich_text_quote": "blockquote"}.get(one["type"], "p")
    return f"<{tag}>{pieces(one['elements'])}</{tag}>"


def pieces(found: Iterable[Element]) -> str:
    return "".join(piece(one) for one in found)


def piece(one: Element) -> str:
    """Nothing in a rich text is parsed: what looks like markup is text."""
    kind = one["type"]
    if kind == "link":
        made = anchor(str(one["url"]), escape(str(one.get("text") or one["url"])))
    elif kind == "emoji":
        made = emoji(one)
    elif kind in ("user", "usergroup", "channel", "broadcast"):
        name = str(one.get("range") or one.get(f"{kind}_id", ""))
        made = mention("#" if kind == "channel" else "@", name, is_loud=kind == "broadcast")
    elif kind == "date":
        made = time_of(int(one["timestamp"]), "%Y-%m-%d %H:%M UTC") or escape(str(one.get("fallback", "")))
    else:
        made = broken(escape(str(one.get("text", ""))))
    style = one.get("style") or {}
    for name, tag in TAGS.items():
        made = f"<{tag}>{made}</{tag}>" if style.get(name) else made
    return made


TAGS = {"code": "code", "strike": "s", "italic": "i", "bold": "b"}


def emoji(one: Element) -> str:
    """By its code points, `1f9d1-200d-1f4bb`, where they are given, else by name."""
    try:
        return escape("".join(chr(int(code, 16)) for code in str(one.get("unicode") or "").split("-")))
    except (ValueError, OverflowError):
        return f":{escape(str(one.get('name', '')))}:"


def button(one: Element) -> str:
    style = one.get("style") if one.get("style") in ("primary", "danger") else "default"
    title = escape(str(one["text"]["text"]))
    return anchor(str(one.get("url", "")), title, f"slack-button slack-{style}")


def words(one: Element) -> str:
    """A text object, or an image of a context."""
    if one["type"] == "image":
        return escape(str(one.get("alt_text") or "Image"))
    return marked(str(one["text"])) if one["type"] == "mrkdwn" else broken(escape(str(one["text"])))


# Slack's own markup. A word is formatted between two marks, where they touch it on the inside and nothing else does on
# the outside.
_MARKED = re.compile(
    r"<(?P<control>[^<>\n]+)>"
    r"|(?<!\w)`(?P<code>[^`\n]+)`(?!\w)"
    r"|(?<!\w)\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*(?!\w)"
    r"|(?<!\w)_(?P<italic>[^\s_](?:[^_\n]*[^\s_])?)_(?!\w)"
    r"|(?<!\w)~(?P<strike>[^\s~](?:[^~\n]*[^\s~])?)~(?!\w)"
)
_CONTROL = re.compile(r"<(?P<control>[^<>\n]+)>")
_FENCED = re.compile(r"```(.+?)```", re.DOTALL)
_QUOTED = re.compile(r"(?:^&gt; ?[^\n]*(?:\n|\Z))+", re.MULTILINE)


def marked(text: str, *, formats: bool = True) -> str:
    """Markup as HTML. `formats` is false where only links and mentions count, not stars and back-ticks."""
    if not formats:
        return inline(text, _CONTROL)
    made = ""
    for outside, code in alternating(_FENCED, text):
        for around, quote in alternating(_QUOTED, outside):
            made += inline(around)
            quoted = "\n".join(line.removeprefix("&gt;").removeprefix(" ") for line in quote.splitlines())
            made += f"<blockquote>{inline(quoted)}</blockquote>" if quote else ""
        made += f"<pre>{plain(_FENCED.sub(lambda found: found[1], code).strip(chr(10)))}</pre>" if code else ""
    return made


def alternating(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    """What lies before each match, and the match; at last what lies after them all, and nothing."""
    end = 0
    for found in pattern.finditer(text):
        yield text[end : found.start()], found[0]
        end = found.end()
    yield text[end:], ""


def inline(text: str, pattern: re.Pattern[str] = _MARKED) -> str:
    made, end = "", 0
    for found in pattern.finditer(text):
        made += plain(text[end : found.start()])
        end = found.end()
        kind = found.lastgroup or ""
        if kind == "control":
            made += control(found[kind])
        elif kind == "code":
            made += f"<code>{plain(found[kind])}</code>"
        else:
            made += f"<{TAGS[kind]}>{inline(found[kind], pattern)}</{TAGS[kind]}>"
    return made + plain(text[end:])


def control(content: str) -> str:
    """What stands between < and >: a link, a date, or somebody to wake."""
    target, _, label = content.partition("|")
    if target.startswith("!date^"):
        when = target.split("^")[1]
        shown = time_of(int(when), "%Y-%m-%d %H:%M UTC") if re.fullmatch(r"[0-9]{1,11}", when) else ""
        return shown or plain(label)
    if target[:1] in ("!", "@", "#"):
        name = unescaped(label or target[1:].rpartition("^")[2]).removeprefix("@").removeprefix("#")
        return mention("#" if target[0] == "#" else "@", name, is_loud=target[0] == "!" and "^" not in target)
    if not label and ":" not in target:
        return plain(f"<{content}>")
    return anchor(unescaped(target), plain(label or target))


def mention(sign: str, name: str, *, is_loud: bool) -> str:
    """A chip: `@here` and its like stand out from people and channels."""
    return f'<span class="slack-mention{" slack-loud" if is_loud else ""}">{sign}{escape(name)}</span>'


def plain(text: str) -> str:
    """Text in which Slack's three escapes stand for their characters."""
    return broken(escape(unescaped(text)))


def unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def broken(escaped: str) -> str:
    return escaped.replace("\n", "<br>")


def time_of(at_s: int, form: str) -> str:
    """UTC here; a page may show the reader's own time instead. "" for a time that no calendar has."""
    try:
        at = datetime.fromtimestamp(at_s, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return f'<time datetime="{at.isoformat(timespec="seconds")}">{at.strftime(form)}</time>'


def anchor(url: str, inner: str, classes: str = "") -> str:
    """Only the web is linked to, and it does not learn where from. `inner` is HTML already."""
    named = f' class="{classes}"' if classes else ""
    if not url.lower().startswith(("https://", "http://")):
        return f"<span{named}>{inner}</span>" if classes else inner
    return f'<a{named} href="{escape(url)}" target="_blank" rel="noopener noreferrer nofollow">{inner}</a>'


_LIGHT = """
  color-scheme: light;
  --s-page: #fff; --s-text: #1d1c1d; --s-soft: #616061; --s-link: #1264a3; --s-line: rgb(29 28 29 / .13);
  --s-edge: rgb(29 28 29 / .3); --s-code: #c01343; --s-back: rgb(29 28 29 / .04); --s-badge: rgb(29 28 29 / .13);
  --s-chip: rgb(29 155 209 / .1); --s-loud: rgb(242 199 68 / .4); --s-bar: #ddd; --s-hover: rgb(29 28 29 / .04);
"""
_DARK = """
  color-scheme: dark;
  --s-page: #1a1d21; --s-text: #d1d2d3; --s-soft: #ababad; --s-link: #1d9bd1; --s-line: rgb(232 232 232 / .13);
  --s-edge: rgb(232 232 232 / .3); --s-code: #e8912d; --s-back: rgb(232 232 232 / .04);
  --s-badge: rgb(232 232 232 / .13); --s-chip: rgb(29 155 209 / .2); --s-loud: rgb(242 199 68 / .2);
  --s-bar: #4a4d52; --s-hover: rgb(232 232 232 / .06);
"""

STYLE = f"""
.slack {{ {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ .slack {{ {_DARK} }} }}
[data-theme=light] .slack {{ {_LIGHT} }}
[data-theme=dark] .slack {{ {_DARK} }}
.slack {{
  display: flex; gap: 8px; padding: 8px 20px; background: var(--s-page); color: var(--s-text); text-align: left;
  font: 15px/22px Lato, Slack-Lato, "Helvetica Neue", Helvetica, "Segoe UI", system-ui, Arial, sans-serif;
  overflow-wrap: anywhere; font-variant-ligatures: common-ligatures;
}}
.slack * {{ box-sizing: border-box; margin: 0; padding: 0; font: inherit; }}
.slack-avatar {{ flex: none; width: 36px; height: 36px; margin-top: 4px; }}
.slack-avatar svg {{ display: block; width: 36px; height: 36px; }}
.slack-post {{ flex: 1; min-width: 0; max-width: 680px; }}
.slack-by {{ display: flex; align-items: center; gap: 5px; }}
.slack .slack-by b {{ font-weight: 900; }}
.slack .slack-by span {{
  padding: 0 3px; border-radius: 2px; background: var(--s-badge); color: var(--s-soft);
  font-size: 10px; font-weight: 700; line-height: 14px;
}}
.slack .slack-by time {{ color: var(--s-soft); font-size: 12px; }}
.slack-post > * + *, .slack-attachment > * + *, .slack-beside > div > * + * {{ margin-top: 8px; }}
.slack-post > .slack-by + * {{ margin-top: 0; }}
.slack-post > .slack-by + h3 {{ margin-top: 4px; }}
.slack-attachment > .slack-bar + * {{ margin-top: 0; }}
.slack h3 {{ font-size: 18px; line-height: 24px; font-weight: 700; }}
.slack b {{ font-weight: 700; }}
.slack i {{ font-style: italic; }}
.slack s {{ text-decoration: line-through; }}
.slack hr {{ height: 0; border: 0; border-top: 1px solid var(--s-line); }}
.slack a {{ color: var(--s-link); text-decoration: none; }}
.slack a:hover, .slack a:focus-visible {{ text-decoration: underline; }}
.slack code, .slack pre {{
  border: 1px solid var(--s-line); background: var(--s-back);
  font: 12px/18px Monaco, Menlo, Consolas, "DejaVu Sans Mono", "Courier New", monospace;
}}
.slack code {{ padding: 2px 3px 1px; border-radius: 3px; color: var(--s-code); white-space: pre-wrap; }}
.slack pre {{ padding: 8px; border-radius: 4px; white-space: pre-wrap; tab-size: 4; }}
.slack-rich > pre, .slack-rich > pre + * {{ margin-top: 4px; }}
.slack-rich > pre:first-child {{ margin-top: 0; }}
.slack blockquote {{ position: relative; padding-left: 16px; }}
.slack blockquote::before {{
  content: ""; position: absolute; inset: 0 auto 0 0; width: 4px; border-radius: 8px; background: var(--s-bar);
}}
.slack-attachment {{ position: relative; padding: 2px 0 2px 16px; }}
.slack-bar {{
  position: absolute; left: 0; top: 0; width: 4px; height: 100%; border-radius: 2px; background: var(--s-bar);
}}
.slack-fields {{ display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px 16px; list-style: none; }}
.slack .slack-list {{ padding-left: 28px; }}
.slack .slack-indent-1 {{ margin-left: 28px; }}
.slack .slack-indent-2 {{ margin-left: 56px; }}
.slack .slack-indent-3 {{ margin-left: 84px; }}
.slack .slack-context {{
  display: flex; flex-wrap: wrap; gap: 0 8px; color: var(--s-soft); font-size: 13px; line-height: 18px;
}}
.slack-mention {{ padding: 0 2px 1px; border-radius: 3px; background: var(--s-chip); color: var(--s-link); }}
.slack-mention.slack-loud {{ background: var(--s-loud); }}
.slack-beside {{ display: flex; justify-content: space-between; gap: 16px; }}
.slack-beside > div {{ min-width: 0; }}
.slack-actions {{ display: flex; flex-wrap: wrap; gap: 8px; }}
.slack .slack-button {{
  flex: none; align-self: flex-start; max-width: 100%; padding: 0 12px; border: 1px solid var(--s-edge);
  border-radius: 8px; color: var(--s-text); font-size: 13px; font-weight: 700; line-height: 28px;
}}
.slack a.slack-button:hover {{ background: var(--s-hover); text-decoration: none; }}
.slack .slack-button.slack-primary, .slack a.slack-primary:hover {{
  border-color: #007a5a; background: #007a5a; color: #fff;
}}
.slack .slack-button.slack-danger, .slack a.slack-danger:hover {{
  border-color: #e01e5a; background: #e01e5a; color: #fff;
}}
@media (max-width: 480px) {{
  .slack {{ padding: 8px 12px; }}
  .slack-fields {{ grid-template-columns: minmax(0, 1fr); }}
}}
"""
"""For one page, once. Light or dark as the reader's system is, or as `data-theme` on something around it says."""
