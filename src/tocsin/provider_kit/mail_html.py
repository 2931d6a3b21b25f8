"""The HTML part of a mail: one column of 600 pixels, light and dark, nothing loaded from anywhere.

Mail programs know the HTML of 2005: tables for layout, styles on every element, and a <style> that some of them drop.
So the light colours stand on the elements, and the dark ones in a media query that overrides them by class.
What programs support:  https://www.caniemail.com
Contrast:               https://www.w3.org/TR/WCAG22/#contrast-minimum, 4.5:1 for all text
"""

from html import escape

from tocsin.model.message import Tone
from tocsin.provider_kit.mail import MARKS, Content, Link

LIGHT = {
    "page": "#f3f4f6",
    "card": "#ffffff",
    "line": "#e2e5ea",
    "ink": "#1d1c1d",
    "soft": "#5d6470",
    "code": "#f6f7f9",
    "button": "#1f6feb",
}
DARK = {
    "page": "#101215",
    "card": "#1a1d21",
    "line": "#343940",
    "ink": "#e6e7ea",
    "soft": "#a2a9b4",
    "code": "#121417",
    "button": "#1f6feb",
}
TONES: dict[Tone, tuple[str, str, str, str]] = {
    "running": ("#1b5fc1", "#e6effc", "#8fbcff", "#17294a"),
    "good": ("#0b7a4b", "#e3f5ec", "#5fd39b", "#12352a"),
    "bad": ("#b4232a", "#fdeaea", "#ff9a94", "#421c1f"),
    "warning": ("#8a5a00", "#fdf1d8", "#f0c069", "#3d2f12"),
    "rollback": ("#6d28b8", "#f3eafb", "#d3a6ff", "#33204a"),
    "neutral": ("#5d6470", "#eef0f3", "#a2a9b4", "#2a2e34"),
}
"""Text and ground in the light, text and ground in the dark. The bar on top has the colour of the text."""

FONT = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono',monospace"
BREAK = "word-break:break-word;overflow-wrap:anywhere"
TABLE = '<table role="presentation" cellpadding="0" cellspacing="0" border="0"'
FILLER = "&#847;&zwnj;&nbsp;" * 60
"""Nothing to be seen, after the preview: without it inboxes go on with the first words of the mail."""


def html(content: Content, theme_color: str = "") -> str:
    """The whole document. `theme_color` (#RRGGBB) is for the bar and the first button in place of our own."""
    bar = theme_color or TONES[content.tone][0]
    rows = [heading(content), cause(content), text(content), facts(content)]
    rows += [buttons(content.links, theme_color or LIGHT["button"]), steps(content), detail(content), footer(content)]
    body = "\n".join(row for row in rows if row)
    return f"""<!DOCTYPE html>
<html lang="en" dir="ltr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<meta name="format-detection" content="telephone=no,date=no,address=no,email=no,url=no">
<meta name="x-apple-disable-message-reformatting">
<title>{escape(content.title)}</title>
<style>
{style(content.tone, bool(theme_color))}
</style>
</head>
<body class="page" style="margin:0;padding:0;background-color:{LIGHT["page"]}">
<div style="display:none;max-height:0;overflow:hidden;mso-hide:all">{escape(content.preview)}{FILLER}</div>
{TABLE} class="page" width="100%" bgcolor="{LIGHT["page"]}" style="background-color:{LIGHT["page"]}">
<tr><td class="around" align="center" style="padding:24px 12px">
{TABLE} class="card" width="600" bgcolor="{LIGHT["card"]}" style="width:100%;max-width:600px;table-layout:fixed;\
background-color:{LIGHT["card"]};border:1px solid {LIGHT["line"]};border-radius:8px;border-collapse:separate">
<tr><td class="bar" height="6" bgcolor="{bar}" style="height:6px;line-height:6px;font-size:0;background-color:{bar};\
border-radius:7px 7px 0 0">&nbsp;</td></tr>
{body}
</table>
</td></tr>
</table>
</body>
</html>
"""


def bare(title: str, text: str) -> str:
    """The words of the plain part as they are, for a mail that is to have no look of its own."""
    words = escape(text).replace("\n", "<br>")
    return (
        '<!DOCTYPE html>\n<html lang="en" dir="ltr">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<title>{escape(title)}</title>\n</head>\n<body style="white-space:pre-wrap">{words}</body>\n</html>\n'
    )


def style(tone: Tone, themed: bool) -> str:
    """What only a <style> can say: small screens, and the dark."""
    ink, ground = TONES[tone][2:]
    bar = "" if themed else f"\n  .bar {{ background-color: {ink} !important; }}"
    return f""":root {{ color-scheme: light dark; supported-color-schemes: light dark; }}
@media (max-width: 480px) {{
  .around {{ padding: 0 !important; }}
  .card {{ border-left: 0 !important; border-right: 0 !important; border-radius: 0 !important; }}
  .bar {{ border-radius: 0 !important; }}
  .row {{ padding-left: 20px !important; padding-right: 20px !important; }}
  .title {{ font-size: 20px !important; line-height: 27px !important; }}
}}
@media (prefers-color-scheme: dark) {{
  .page {{ background-color: {DARK["page"]} !important; }}
  .card {{ background-color: {DARK["card"]} !important; border-color: {DARK["line"]} !important; }}
  .ink {{ color: {DARK["ink"]} !important; }}
  .soft {{ color: {DARK["soft"]} !important; }}
  .line {{ border-color: {DARK["line"]} !important; }}
  .code {{ background-color: {DARK["code"]} !important; border-color: {DARK["line"]} !important; }}
  .tone {{ color: {ink} !important; background-color: {ground} !important; border-color: {ink} !important; }}{bar}
}}"""


def heading(content: Content) -> str:
    """The state as a badge, and what it is about."""
    ink, ground = TONES[content.tone][:2]
    badge = escape(f"{content.emoji} {content.badge}".strip())
    return row(
        f'<span class="tone" style="display:inline-block;padding:3px 11px;border-radius:12px;color:{ink};'
        f'background-color:{ground};{font(13, 18)};font-weight:600">{badge}</span>\n'
        f'<h1 class="ink title" dir="auto" style="margin:12px 0 0;color:{LIGHT["ink"]};{font(22, 29)};font-weight:700;'
        f'{BREAK}">{escape(content.title)}</h1>',
        top=26,
    )


def cause(content: Content) -> str:
    """Why, where something went wrong: beside a bar, on the ground of the state."""
    if not content.cause:
        return ""
    ink, ground = TONES[content.tone][:2]
    return row(
        f'{TABLE} width="100%" style="table-layout:fixed"><tr><td class="tone" bgcolor="{ground}" dir="auto" style="'
        f"padding:10px 14px;color:{ink};background-color:{ground};border-left:3px solid {ink};border-radius:3px;"
        f'{font(15, 22)};font-weight:600;{BREAK}">{escape(content.cause)}</td></tr></table>'
    )


def text(content: Content) -> str:
    """What the source says, its lines kept."""
    if not content.text:
        return ""
    said = escape(content.text).replace("\n", "<br>\n")
    return row(
        f'<div class="ink" dir="auto" style="color:{LIGHT["ink"]};{font(15, 23)};{BREAK}">{said}</div>',
    )


def facts(content: Content) -> str:
    """Names on the left, values on the right, a line between each two."""
    if not content.facts:
        return ""
    last = len(content.facts) - 1
    pairs = "\n".join(
        f"<tr>{cell(name, 'soft', index < last, 'width:34%;padding-right:12px')}"
        f"{cell(value, 'ink', index < last, 'font-weight:600')}</tr>"
        for index, (name, value) in enumerate(content.facts)
    )
    return row(f'{TABLE} width="100%" style="table-layout:fixed">\n{pairs}\n</table>')


def steps(content: Content) -> str:
    """The stages of the run, a line each."""
    if not content.steps:
        return ""
    last = len(content.steps) - 1
    shown = "\n".join(
        f"<tr>{cell(f'{mark} {name}', 'ink', index < last, f'width:66%;padding-right:12px;font-weight:{weight(mark)}')}"
        f"{cell(took, 'soft', index < last, 'text-align:right')}</tr>"
        for index, (mark, name, took) in enumerate(content.steps)
    )
    return row(label(content.stages) + f'{TABLE} width="100%" style="table-layout:fixed">\n{shown}\n</table>')


def weight(mark: str) -> int:
    """A stage that failed stands out."""
    return 600 if mark == MARKS["failed"] else 400


def buttons(links: tuple[Link, ...], colour: str) -> str:
    """The first filled, the rest in outline; each a table, so that the whole of it can be clicked in Outlook too."""
    if not links:
        return ""
    first, *others = links
    shown = [
        button(first, on(colour), f"background-color:{colour};border:1px solid {colour}", "", f' bgcolor="{colour}"')
    ]
    shown += [button(one, LIGHT["ink"], f"border:1px solid {LIGHT['line']}", "ink") for one in others]
    return row("\n".join(shown), bottom=-8)


def button(link: Link, ink: str, box: str, kind: str, ground: str = "") -> str:
    edge = "line" if kind else "filled"
    look = f"display:inline-block;padding:10px 18px;color:{ink};{font(14, 20)};font-weight:600;text-decoration:none"
    return (
        f'{TABLE} style="display:inline-block;vertical-align:top;margin:0 8px 8px 0;border-collapse:separate"><tr>'
        f'<td class="{edge}" align="center"{ground} style="{box};border-radius:6px;mso-padding-alt:10px 18px">'
        f'<a class="{kind}" href="{escape(link.url)}" target="_blank" rel="noopener noreferrer" style="{look}">'
        f"{escape(link.label)}</a></td></tr></table>"
    )


def detail(content: Content) -> str:
    """The end of the error, as it is."""
    if not content.detail:
        return ""
    return row(
        label("Error")
        + f'{TABLE} width="100%" style="table-layout:fixed;border-collapse:separate"><tr><td class="code" bgcolor="'
        f'{LIGHT["code"]}" style="padding:12px 14px;background-color:{LIGHT["code"]};border:1px solid {LIGHT["line"]};'
        f'border-radius:6px"><pre class="ink" style="margin:0;color:{LIGHT["ink"]};font-family:{MONO};font-size:12.5px;'
        f'line-height:19px;white-space:pre-wrap;{BREAK}">{escape(content.detail)}</pre></td></tr></table>'
    )


def footer(content: Content) -> str:
    """Where it comes from, when it was, and the way out."""
    small = " · ".join(part for part in (content.footer, content.when) if part)
    out = ""
    if content.unsubscribe_url:
        out = (
            f' · <a class="soft" href="{escape(content.unsubscribe_url)}" target="_blank" rel="noopener noreferrer" '
            f'style="color:{LIGHT["soft"]};text-decoration:underline">Unsubscribe</a>'
        )
    return (
        f'<tr><td class="row line" style="padding:16px 32px 20px;border-top:1px solid {LIGHT["line"]}">'
        f'<div class="soft" style="color:{LIGHT["soft"]};{font(12, 19)};{BREAK}">'
        f"{escape(small)}<br>\nSent by Tocsin{out}</div></td></tr>"
    )


def row(inner: str, *, top: int = 0, bottom: int = 0) -> str:
    """One row of the card."""
    return f'<tr><td class="row" style="padding:{top}px 32px {20 + bottom}px">\n{inner}\n</td></tr>'


def cell(said: str, kind: str, lined: bool, extra: str) -> str:
    """One cell of a list; a line beneath it where another follows."""
    edge = f"border-bottom:1px solid {LIGHT['line']};" if lined else ""
    return (
        f'<td class="{kind}{" line" if lined else ""}" valign="top" dir="auto" style="padding:8px 0;{edge}'
        f'color:{LIGHT[kind]};{font(14, 20)};{extra};{BREAK}">{escape(said)}</td>'
    )


def label(said: str) -> str:
    """A small heading."""
    return (
        f'<div class="soft" style="margin:0 0 6px;color:{LIGHT["soft"]};{font(13, 18)};font-weight:600">'
        f"{escape(said)}</div>"
    )


def font(size: int, height: int) -> str:
    return f"font-family:{FONT};font-size:{size}px;line-height:{height}px"


def on(colour: str) -> str:
    """White or near-black, whichever is easier to read on it: one of the two always has 4.5:1."""
    return "#ffffff" if contrast(colour, "#ffffff") >= 4.5 else "#000000"


def contrast(one: str, other: str) -> float:
    """Of two colours, from 1 to 21: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
