"""An incident as a page of Markdown: what happened, in the order in which it did. What pipelines said is quoted."""

import re
from typing import Any

Json = dict[str, Any]
LONGEST = 200
SPECIAL = re.compile(r"[\\`*\[\]#!|<>~&@]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.")
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\u200e\u200f]+")

ENDING = """
## For the post-mortem

- Impact:
- Cause:
- How it was noticed, and what would have told of it earlier:
- What was done:
- What is to change, by whom, until when:
"""


def report(found: Json) -> str:
    about, run = found["about"], found["run"]
    first = found["events"][0] if found["events"] else {}
    pipeline = (run or first).get("pipeline") or "an event"
    name = (run or {}).get("run_id") or (first.get("id", "") if run is None else "")
    parts = [f"# Incident: {said(f'{pipeline} {name}'.strip())}", said(found["summary"])]
    facts = [("from, with what was changed around it", about["since"]), ("until", about["until"])]
    if run is not None:
        facts += [("run", run["id"]), ("state", run["status"]), ("started", run["started_at"] or "—")]
        facts += [("finished", run["finished_at"] or "—"), ("error", run["error"] or "—")]
    facts += [("written down", f"{about['exported_at']} by {about['exported_by']}, Tocsin {about['tocsin']}")]
    facts += [("left out", note) for note in found["left_out"]]
    parts.append(table(("", ""), facts))
    parts += ["## Timeline", table(("time (UTC)", "", ""), timeline(found))]
    messages = [
        (one["webhook"], one["event_type"], one["status"], str(one["attempts"]), one["fate"], one["id"])
        for one in found["deliveries"]
    ]
    heads = ("webhook", "about", "state", "attempts", "how it ended", "delivery")
    parts += ["## Who was told", table(heads, messages) if messages else "Nobody."]
    decisions = [
        (chapter["event_id"], one["rule"], one["verdict"], one["reason"])
        for chapter in found["why"].get("events", [found["why"]])
        for one in chapter["decisions"]
    ]
    if decisions:
        parts += ["## What the rules decided", table(("event", "rule", "verdict", "reason"), decisions)]
    if run is not None and run["log_tail"]:
        parts += ["## The end of its log", fenced(run["log_tail"])]
    return "\n\n".join(parts) + "\n" + ENDING


def timeline(found: Json) -> list[tuple[str, str, str]]:
    """Time, kind and words; what came in first, then what was done about it, where the times are the same."""
    about, people = found["about"], found["people"]

    def called(id_: str) -> str:
        return str(people.get(id_, id_))

    lines: list[tuple[str, str, str]] = []
    for one in found["events"]:
        what = " ".join(filter(None, (one["type"], one["stage"], one["title"] or one["message"])))
        lines.append((one["time"] or one["received_at"], "event", f"{one['severity']}: {what}"))
    for one in found["deliveries"]:
        if not one["log"]:
            lines.append((one["created_at"], "message", f"to {one['webhook']}: {one['fate']}"))
        for attempt in one["log"]:
            went = attempt["error_message"] or attempt["http_status_code"]
            went = " ".join(filter(None, (attempt["status"], str(went or ""))))
            lines.append((attempt["started_at"], f"attempt {attempt['number']}", f"to {one['webhook']}: {went}"))
    for one in found["silences"]:
        words = f"{one['reason'] or one['id']}, by {called(one['created_by'])}; kept back {one['hidden']} in all"
        lines += [
            (at, what, words)
            for at, what in ((one["starts_at"], "silence begins"), (one["ends_at"], "silence ends"))
            if at and about["since"] <= at <= about["until"]
        ]
    for one in found["audit"] or ():
        what = " ".join(
            filter(None, (one["action"], name_of(one), one["outcome"] if one["outcome"] == "denied" else ""))
        )
        lines.append((one["time"], "change", f"{called(one['actor'])}: {what}"))
    return sorted(lines, key=lambda line: line[0])


def name_of(entry: Json) -> str:
    """What was changed, as people call it where the entry says that."""
    shown = (entry["after"] or {}) | (entry["before"] or {})
    return str(shown.get("name") or entry["id"])


def table(heads: tuple[str, ...], rows: list[Any]) -> str:
    lines = [heads, ("---",) * len(heads)]
    shown = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join(shown + [f"| {' | '.join(said(cell) for cell in row)} |" for row in rows])


def said(text: str) -> str:
    """Words from outside: on one line, no longer than a line should be, and nothing in them means anything to Markdown
    or HTML."""
    flat = UNPRINTABLE.sub(" ", text).strip()
    if len(flat) > LONGEST:
        flat = flat[: LONGEST - 1] + "…"
    return SPECIAL.sub(escaped, flat)


def escaped(found: re.Match[str]) -> str:
    named = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;", ":": "&#58;", ".": "&#46;"}
    return named.get(found[0], f"\\{found[0]}")


def fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    lines = (UNPRINTABLE.sub(" ", line) for line in text.split("\n"))
    return "\n".join((f"{fence}text", *lines, fence))
