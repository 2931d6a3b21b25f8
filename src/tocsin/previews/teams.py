"""A Teams card as HTML: what a workflow is sent, as people would see it in the channel.

Looks: the host configurations that Microsoft publishes for Teams, light and dark
(https://github.com/microsoft/AdaptiveCards/tree/main/samples/HostConfig), and Fluent's colours where those are older
than Teams' present ones.

Everything is text or markup made here: no script, nothing loaded; images show their alternative text.
"""

import json
import re
from collections.abc import Callable
from datetime import date
from html import escape
from typing import Any

DEPTH = 12
"""Elements inside one another; what lies deeper is left out."""

Element = dict[str, Any]


def html(body: bytes) -> str:
    """A fragment for STYLE. What is no Teams message is shown as the text that it is."""
    try:
        contents = [one["content"] for one in json.loads(body)["attachments"]]
        cards = "".join(card(one) for one in contents)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        cards = f'<pre class="teams-raw">{escape(body.decode("utf-8", "replace"))}</pre>'
    return (
        '<article class="teams"><div class="teams-avatar" aria-hidden="true"></div><div class="teams-post">'
        f'<header class="teams-by"><b>Workflows</b> <span>App</span></header>{cards}</div></article>'
    )


def card(content: Element) -> str:
    """One Adaptive Card: its body and its buttons."""
    teams = content.get("msteams") or {}
    wide = " teams-wide" if isinstance(teams, dict) and str(teams.get("width")).lower() == "full" else ""
    buttons = content.get("actions") or []
    inner = elements(content.get("body"), unfolding(buttons), 0)
    shown = "".join(button(one) for one in buttons)
    bar = f'<div class="teams-actions">{shown}</div>' if shown else ""
    return f'<section class="teams-card{wide}">{inner}{bar}</section>'


def unfolding(buttons: Any) -> set[str]:
    """The ids of what the buttons unfold."""
    return {
        str(target if isinstance(target, str) else target["elementId"])
        for one in buttons
        if one.get("type") == "Action.ToggleVisibility"
        for target in one.get("targetElements", [])
    }


def elements(found: Any, folded: set[str], depth: int) -> str:
    if not isinstance(found, list) or depth > DEPTH:
        return ""
    return "".join(element(one, folded, depth + 1) for one in found)


def element(one: Element, folded: set[str], depth: int) -> str:
    """An element, or its fallback where it is not known here. What is hidden is there only if a button unfolds it."""
    render = RENDERERS.get(one.get("type", ""))
    if render is None or depth > DEPTH:
        fallback = one.get("fallback")
        return element(fallback, folded, depth + 1) if isinstance(fallback, dict) and depth <= DEPTH else ""
    made = render(one, folded, depth)
    if one.get("isVisible", True):
        return made
    return f'<div class="teams-folded">{made}</div>' if one.get("id") in folded else ""


def container(one: Element, folded: set[str], depth: int) -> str:
    classes = "teams-box" + (f" teams-{word(one['style'])}" if one.get("style") else "")
    classes += " teams-bleed" if one.get("bleed") else ""
    return f'<div class="{classes}">{elements(one.get("items"), folded, depth)}</div>'


def column_set(one: Element, folded: set[str], depth: int) -> str:
    made = ""
    for column in one.get("columns", []):
        fit = " teams-auto" if column.get("width") == "auto" else ""
        made += f'<div class="teams-column{fit}">{elements(column.get("items"), folded, depth)}</div>'
    return f'<div class="teams-columns">{made}</div>'


def text_block(one: Element, folded: set[str], depth: int) -> str:
    tag = "h3" if one.get("style") == "heading" else "p"
    return f'<{tag} class="{text_classes(one)}">{markdown(str(one.get("text", "")))}</{tag}>'


def rich_text_block(one: Element, folded: set[str], depth: int) -> str:
    made = ""
    for run in one.get("inlines", []):
        run = {"text": run} if isinstance(run, str) else run
        made += f'<span class="{text_classes(run)}">{escape(str(run.get("text", "")))}</span>'
    return f'<p class="teams-text teams-lines">{made}</p>'


def fact_set(one: Element, folded: set[str], depth: int) -> str:
    rows = "".join(
        f"<div><dt>{markdown(str(fact.get('title', '')))}</dt><dd>{markdown(str(fact.get('value', '')))}</dd></div>"
        for fact in one.get("facts", [])
    )
    return f'<dl class="teams-facts">{rows}</dl>'


def code_block(one: Element, folded: set[str], depth: int) -> str:
    """Lines are numbered, as in Teams."""
    rows = str(one.get("codeSnippet", "")).split("\n")
    return '<pre class="teams-code">' + "".join(f"<code>{escape(row) or ' '}</code>" for row in rows) + "</pre>"


def badge(one: Element, folded: set[str], depth: int) -> str:
    return f'<span class="teams-badge">{escape(str(one.get("text", "")))}</span>'


def image(one: Element, folded: set[str], depth: int) -> str:
    return f'<p class="teams-text teams-subtle">{escape(str(one.get("altText") or "Image"))}</p>'


def action_set(one: Element, folded: set[str], depth: int) -> str:
    return f'<div class="teams-actions">{"".join(button(action) for action in one.get("actions", []))}</div>'


RENDERERS: dict[str, Callable[[Element, set[str], int], str]] = {
    "Container": container,
    "ColumnSet": column_set,
    "TextBlock": text_block,
    "RichTextBlock": rich_text_block,
    "FactSet": fact_set,
    "CodeBlock": code_block,
    "Badge": badge,
    "Image": image,
    "ActionSet": action_set,
}


def button(one: Element) -> str:
    """A link that looks like a button, or a check box that does: checked, it unfolds what is hidden."""
    title, style = escape(str(one.get("title", ""))), word(one.get("style", "default"))
    classes = f"teams-button teams-as-{style}"
    if one.get("type") == "Action.ToggleVisibility":
        return f'<label class="{classes}"><input type="checkbox">{title}</label>'
    return anchor(str(one.get("url", "")), title, classes) if one.get("type") == "Action.OpenUrl" else ""


def anchor(url: str, inner: str, classes: str) -> str:
    """Only the web is linked to, and it does not learn where from."""
    if not url.lower().startswith(("https://", "http://")):
        return f'<span class="{classes}">{inner}</span>'
    return f'<a class="{classes}" href="{escape(url)}" target="_blank" rel="noopener noreferrer nofollow">{inner}</a>'


def text_classes(one: Element) -> str:
    """The classes for size, weight, colour and font."""
    names = ["teams-text"]
    names += [f"teams-{key}-{word(one[key])}" for key in ("size", "weight", "color", "fontType") if one.get(key)]
    return " ".join(names + (["teams-subtle"] if one.get("isSubtle") else []))


def word(value: Any) -> str:
    """A value as a part of a class name."""
    return re.sub(r"[^a-z]", "", str(value).lower())


_INLINE = re.compile(
    r"\[(?P<label>[^\]\n]{1,500})\]\((?P<url>[^()\s]{1,4000})\)"
    r"|\*\*(?=\S)(?P<bold>.{1,500}?)(?<=\S)\*\*"
    r"|(?<!\w)(?P<mark>[*_])(?=\S)(?P<italic>.{1,500}?)(?<=\S)(?P=mark)(?!\w)"
    r"|<at>(?P<at>[^<>]{1,500})</at>"
    r"|\{\{DATE\((?P<date>\d{4}-\d\d-\d\d)T[\d:]{8}Z(?:, ?[A-Z]{1,9})?\)\}\}"
    r"|\{\{TIME\(\d{4}-\d\d-\d\dT(?P<time>\d\d:\d\d):\d\dZ\)\}\}"
)
"""Bounded everywhere, so that no text takes long."""


def markdown(text: str) -> str:
    """What Teams makes of a text block: links, bold, italic, mentions, dates. All else is text."""
    made, end = "", 0
    for found in _INLINE.finditer(text):
        made += escape(text[end : found.start()]) + inline(found)
        end = found.end()
    return (made + escape(text[end:])).replace("\n", "<br>")


def inline(found: re.Match[str]) -> str:
    """One piece of Markdown. Times are in UTC here; in Teams, in each reader's own time zone."""
    part = {name: escape(value) for name, value in found.groupdict().items() if value is not None}
    if "url" in part:
        return anchor(found["url"], part["label"], "teams-link")
    if "bold" in part:
        return f"<b>{part['bold']}</b>"
    if "italic" in part:
        return f"<i>{part['italic']}</i>"
    if "at" in part:
        return f'<span class="teams-mention">{part["at"]}</span>'
    return f"<time>{day(part['date']) if 'date' in part else part['time'] + ' UTC'}</time>"


def day(iso: str) -> str:
    """`Sat, Nov 21, 2026`, as Teams writes it."""
    try:
        found = date.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{found:%a, %b} {found.day}, {found.year}"


_LIGHT = """
  --t-page: #f5f5f5; --t-card: #fff; --t-edge: #e0e0e0; --t-text: #242424; --t-subtle: #616161; --t-link: #5b5fc7;
  --t-brand: #5b5fc7; --t-on-brand: #fff; --t-danger: #c4314b; --t-code: #f5f5f5; --t-number: #9e9e9e;
  --t-emphasis: #f5f5f5; --t-accent: #e8ebfa; --t-good: #e7f2da; --t-attention: #fcf4f6; --t-warning: #fbf6d9;
  --t-shadow: 0 1px 2px rgb(0 0 0 / .14), 0 0 2px rgb(0 0 0 / .12);
"""
_DARK = """
  --t-page: #1f1f1f; --t-card: #292929; --t-edge: #424242; --t-text: #fff; --t-subtle: #adadad; --t-link: #7f85f5;
  --t-brand: #4f52b2; --t-on-brand: #fff; --t-danger: #f9526b; --t-code: #1f1f1f; --t-number: #757575;
  --t-emphasis: #1f1f1f; --t-accent: #2f2f4a; --t-good: #0d2e0d; --t-attention: #3e1f25; --t-warning: #463100;
  --t-shadow: 0 1px 2px rgb(0 0 0 / .28), 0 0 2px rgb(0 0 0 / .24);
"""

STYLE = f"""
.teams {{ {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ .teams {{ {_DARK} }} }}
[data-theme=light] .teams {{ {_LIGHT} }}
[data-theme=dark] .teams {{ {_DARK} }}
.teams {{
  display: flex; gap: 12px; padding: 16px; background: var(--t-page); color: var(--t-text);
  font: 14px/20px "Segoe UI Variable", "Segoe UI", system-ui, -apple-system, "Helvetica Neue", sans-serif;
  text-align: left; overflow-wrap: anywhere;
}}
.teams * {{ box-sizing: border-box; margin: 0; padding: 0; font: inherit; }}
.teams-avatar {{
  flex: none; width: 32px; height: 32px; border-radius: 6px; position: relative;
  background: linear-gradient(135deg, #2b88d8, #5b5fc7);
}}
.teams-avatar::after {{
  content: ""; position: absolute; inset: 9px 8px; border: 2px solid #fff; border-width: 2px 2px 0 0;
  transform: rotate(45deg) scale(.72); transform-origin: 45% 50%;
}}
.teams-post {{ flex: 1; min-width: 0; }}
.teams-by {{ display: flex; gap: 8px; align-items: center; margin-bottom: 6px; font-size: 12px; line-height: 16px; }}
.teams .teams-by b {{ font-weight: 600; }}
.teams-by span {{ padding: 0 5px; border-radius: 3px; background: var(--t-edge); color: var(--t-subtle); }}
.teams-card {{
  max-width: 480px; padding: 16px; overflow: hidden; border: 1px solid var(--t-edge); border-radius: 8px;
  background: var(--t-card); box-shadow: var(--t-shadow);
}}
.teams-card.teams-wide {{ max-width: 800px; }}
.teams-card > * + *, .teams-box > * + *, .teams-column > * + * {{ margin-top: 12px; }}
.teams-box {{ border-radius: 4px; }}
.teams-box.teams-bleed {{ margin: 0 -16px; padding: 12px 16px; border-radius: 0; }}
.teams-card > .teams-box.teams-bleed:first-child {{ margin-top: -16px; padding-top: 16px; }}
.teams-emphasis, .teams-accent, .teams-good, .teams-attention, .teams-warning {{ padding: 12px 16px; }}
.teams-emphasis {{ background: var(--t-emphasis); }}
.teams-accent {{ background: var(--t-accent); }}
.teams-good {{ background: var(--t-good); }}
.teams-attention {{ background: var(--t-attention); }}
.teams-warning {{ background: var(--t-warning); }}
.teams-columns {{ display: flex; gap: 12px; }}
.teams-column {{ flex: 1; min-width: 0; }}
.teams-column.teams-auto {{ flex: none; }}
.teams-box > h3 + p {{ margin-top: 4px; }}
.teams .teams-lines {{ white-space: pre-wrap; }}
.teams .teams-size-small {{ font-size: 12px; line-height: 16px; }}
.teams .teams-size-large {{ font-size: 18px; line-height: 24px; }}
.teams .teams-size-extralarge {{ font-size: 24px; line-height: 32px; }}
.teams .teams-weight-bolder, .teams b, .teams dt {{ font-weight: 600; }}
.teams i {{ font-style: italic; }}
.teams .teams-fonttype-monospace, .teams .teams-code code {{
  font-family: Consolas, "Cascadia Mono", ui-monospace, monospace;
}}
.teams .teams-subtle {{ color: var(--t-subtle); }}
.teams-facts {{ display: grid; grid-template-columns: fit-content(40%) 1fr; gap: 4px 16px; }}
.teams-facts > div {{ display: contents; }}
.teams .teams-code {{
  padding: 8px 0; border: 1px solid var(--t-edge); border-radius: 4px; background: var(--t-code); counter-reset: row;
  overflow-x: auto;
}}
.teams .teams-code code {{
  display: block; padding-right: 12px; font-size: 12px; line-height: 18px; white-space: pre;
}}
.teams-code code::before {{
  counter-increment: row; content: counter(row); display: inline-block; width: 28px; margin-right: 12px;
  color: var(--t-number); text-align: right; user-select: none;
}}
.teams-actions {{ display: flex; flex-wrap: wrap; gap: 8px; }}
.teams .teams-button {{
  display: inline-block; padding: 5px 12px; border: 1px solid var(--t-edge); border-radius: 4px; cursor: pointer;
  background: var(--t-card); color: var(--t-text); font-weight: 600; text-decoration: none;
}}
.teams .teams-button.teams-as-positive {{
  border-color: var(--t-brand); background: var(--t-brand); color: var(--t-on-brand);
}}
.teams .teams-button.teams-as-destructive {{ color: var(--t-danger); }}
.teams-button input {{ position: absolute; opacity: 0; }}
.teams-button:focus-visible, .teams-button:focus-within {{ outline: 2px solid var(--t-link); outline-offset: 1px; }}
.teams-card:not(:has(input:checked)) .teams-folded {{ display: none; }}
.teams .teams-link {{ color: var(--t-link); }}
.teams .teams-mention {{ color: var(--t-link); font-weight: 600; }}
.teams-badge {{ padding: 2px 8px; border-radius: 4px; background: var(--t-emphasis); }}
.teams-raw {{ white-space: pre-wrap; font-family: ui-monospace, monospace; font-size: 12px; }}
"""
"""For one page, once. Light or dark as the reader's system is, or as `data-theme` on something around it says."""
