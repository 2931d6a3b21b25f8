"""A Discord message as its channel shows it: the words, then the embed beside its bar.

It draws what `provider_kit/discord_embed.py` makes, and the little of Discord's Markdown that is in it.
"""

import re
from html import escape
from typing import Any

import msgspec

from tocsin.provider_kit.text import cut, line

SHOWN_CHARS = 20_000
"""A message is far shorter; whatever else is given is cut here before it is read."""

STYLE = """
.discord-preview {
  --ground: #ffffff; --embed: #f2f3f5; --edge: #e3e5e8; --words: #2e3338; --loud: #060607; --quiet: #5c5e66;
  --link: #0060bd; --code: #e9eaed; --named: #e3e6fc; --named-words: #4650b8;
  background: var(--ground); color: var(--words); padding: 16px; border-radius: 8px; max-width: 620px;
  display: grid; grid-template-columns: 40px minmax(0, 1fr); column-gap: 16px; align-items: start;
  font: 16px/1.375 "gg sans", "Noto Sans", "Helvetica Neue", Helvetica, Arial, sans-serif;
  overflow-wrap: anywhere; text-align: left;
}
.discord-preview * { box-sizing: border-box; }
:where(.discord-preview) :where(p, dl, dd, pre) { margin: 0; }
.discord-preview a { color: var(--link); text-decoration: none; }
.discord-preview a:hover, .discord-preview a:focus-visible { text-decoration: underline; }
.discord-face {
  width: 40px; height: 40px; border-radius: 50%; background: #4752c4; color: #ffffff;
  display: grid; place-items: center; font-weight: 600; font-size: 18px;
}
.discord-who { display: flex; flex-wrap: wrap; align-items: center; column-gap: 6px; line-height: 22px; }
.discord-name { color: var(--loud); font-weight: 600; }
.discord-app {
  background: #4752c4; color: #ffffff; border-radius: 4px; padding: 0 5px; font-size: 10px; font-weight: 700;
  line-height: 15px;
}
.discord-time, .discord-silent { color: var(--quiet); font-size: 12px; }
.discord-said { white-space: pre-wrap; }
.discord-embed {
  position: relative; overflow: hidden; margin-top: 6px; max-width: 516px; padding: 8px 16px 14px 16px;
  background: var(--embed); border: 1px solid var(--edge); border-radius: 4px; font-size: 14px; line-height: 18px;
}
.discord-bar { position: absolute; left: 0; top: 0; width: 4px; height: 100%; }
.discord-title { margin-top: 8px; color: var(--loud); font-size: 16px; font-weight: 600; line-height: 22px; }
.discord-about { margin-top: 8px; white-space: pre-wrap; }
.discord-fields { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 8px; margin-top: 8px; }
.discord-fields > div { min-width: 0; }
.discord-fields > .discord-wide { grid-column: 1 / -1; }
.discord-fields dt { color: var(--loud); font-weight: 600; margin-bottom: 2px; }
.discord-foot { margin-top: 8px; color: var(--quiet); font-size: 12px; line-height: 16px; }
.discord-preview pre {
  margin-top: 6px; padding: 8px; background: var(--code); border: 1px solid var(--edge); border-radius: 4px;
  white-space: pre-wrap; font: 13px/18px "gg mono", "Source Code Pro", Consolas, "Liberation Mono", monospace;
}
.discord-named {
  background: var(--named); color: var(--named-words); border-radius: 3px; padding: 0 2px; font-weight: 500;
}
@media (max-width: 480px) {
  .discord-preview { column-gap: 10px; padding: 12px; }
  .discord-fields { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media (prefers-color-scheme: dark) {
  :root:not([data-theme=light]) .discord-preview {
DARK
  }
}
[data-theme=dark] .discord-preview {
DARK
}
""".replace(
    "DARK",
    """\
  --ground: #313338; --embed: #2b2d31; --edge: #3f4147; --words: #dbdee1; --loud: #f2f3f5; --quiet: #a3a6aa;
  --link: #00a8fc; --code: #1e1f22; --named: #3c4270; --named-words: #c9cdfb;""",
)
"""For the page that shows it; both themes, by what the reader's system says or by an ancestor's `data-theme`."""


def html(body: bytes) -> str:
    """A fragment for a message's JSON. Whatever is no message is shown as text."""
    try:
        sent = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        sent = None
    if not isinstance(sent, dict):
        sent = {"content": body[:SHOWN_CHARS].decode("utf-8", "replace")}
    name = line(text(sent, "username")) or "Tocsin"
    silent = sent.get("flags") == 1 << 12
    parts = [
        '<div class="discord-who">',
        f'<span class="discord-name">{escape(name)}</span><span class="discord-app">APP</span>',
        '<span class="discord-silent">no notification</span>' if silent else "",
        "</div>",
    ]
    if content := text(sent, "content"):
        parts.append(f'<div class="discord-said">{marked(content)}</div>')
    embeds = sent.get("embeds")
    parts += [embed(one) for one in (embeds if isinstance(embeds, list) else [])[:10] if isinstance(one, dict)]
    face = f'<div class="discord-face" aria-hidden="true">{escape(name[0].upper())}</div>'
    thread = text(sent, "thread_name")
    post = f'<p class="discord-time">Forum post: {escape(thread)}</p>' if thread else ""
    return f'<div class="discord-preview">{face}<div>{post}{"".join(parts)}</div></div>'


def embed(one: dict[str, Any]) -> str:
    """Title, text, facts and small print. The bar is a picture, as pages forbid styles in attributes."""
    parts = []
    if title := text(one, "title"):
        words, url = marked(title), text(one, "url")
        linked = f'<a href="{escape(url)}" rel="noopener noreferrer">{words}</a>' if is_web(url) else words
        parts.append(f'<p class="discord-title">{linked}</p>')
    if about := text(one, "description"):
        parts.append(f'<div class="discord-about">{marked(about)}</div>')
    fields = one.get("fields")
    shown = [field(pair) for pair in (fields if isinstance(fields, list) else [])[:25] if isinstance(pair, dict)]
    if shown:
        parts.append(f'<dl class="discord-fields">{"".join(shown)}</dl>')
    foot = one.get("footer")
    small = [text(foot, "text")] if isinstance(foot, dict) else []
    if when := text(one, "timestamp"):
        small.append(f"{when[:16].replace('T', ' ')} UTC")
    if small := [part for part in small if part]:
        parts.append(f'<p class="discord-foot">{escape(" • ".join(small))}</p>')
    colour = one.get("color")
    fill = f"#{colour:06x}" if isinstance(colour, int) and 0 <= colour <= 0xFFFFFF else "#868e96"
    bar = f'<svg class="discord-bar" aria-hidden="true"><rect width="4" height="100%" fill="{fill}"/></svg>'
    return f'<div class="discord-embed">{bar}{"".join(parts)}</div>'


def field(pair: dict[str, Any]) -> str:
    wide = "" if pair.get("inline") else ' class="discord-wide"'
    return f"<div{wide}><dt>{marked(text(pair, 'name'))}</dt><dd>{marked(text(pair, 'value'))}</dd></div>"


_TOKENS = re.compile(
    r"\\(?P<escaped>[^0-9A-Za-z\s])"
    r"|```(?:\n)?(?P<block>[^`]*(?:`{1,2}[^`]+)*?)\n?```\n?"
    r"|\*\*(?P<bold>(?:\\.|[^*\\\n])+)\*\*"
    r"|\[(?P<label>(?:\\.|[^\]\\\n]){1,200})\]\((?P<url>https?://[^\s()<>]{1,3000})\)"
    r"|<(?P<bare>https?://[^\s<>]{1,3000})>"
    r"|<@(?P<role>&?)!?(?P<id>[0-9]{1,20})>"
    r"|(?P<every>@(?:here|everyone))",
)


def marked(words: str) -> str:
    """Discord's Markdown as HTML, as far as it is used: escapes, code, bold, links, mentions. All else is text."""
    done, at = [], 0
    for found in _TOKENS.finditer(words):
        done.append(escape(words[at : found.start()]))
        done.append(token(found))
        at = found.end()
    return "".join(done) + escape(words[at:])


def token(found: re.Match[str]) -> str:
    kind = found.lastgroup
    if kind == "escaped":
        return escape(found["escaped"])
    if kind == "block":
        return f"<pre>{escape(found['block'])}</pre>"
    if kind == "bold":
        return f"<strong>{marked(found['bold'])}</strong>"
    if kind == "url":
        return f'<a href="{escape(found["url"])}" rel="noopener noreferrer">{marked(found["label"])}</a>'
    if kind == "bare":
        return f'<a href="{escape(found["bare"])}" rel="noopener noreferrer">{escape(found["bare"])}</a>'
    if kind == "every":
        return named(found["every"])
    return named(f"@{'role' if found['role'] else 'user'} …{found['id'][-4:]}")


def named(words: str) -> str:
    """A mention: Discord shows the name, which only it knows."""
    return f'<span class="discord-named">{escape(words)}</span>'


def text(value: dict[str, Any], key: str) -> str:
    """A field if it is text, and of a length that somebody would read."""
    found = value.get(key)
    return cut(found, SHOWN_CHARS) if isinstance(found, str) else ""


def is_web(url: str) -> bool:
    return url.lower().startswith(("https://", "http://"))
