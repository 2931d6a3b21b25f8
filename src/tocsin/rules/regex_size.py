"""The size of a regex: what preparing it and running it cost, without doing either.

RE2 cannot be made to backtrack, but `(.{100}){10}` is small to write and large to prepare.
"""


def states_of(pattern: str, wide: int = 1, unicode: int = 1) -> int:
    """The size of a regex with its counted repetitions written out: `(a{3}b){10}` has 50, the groups included.

    `wide` is what `.`, `[^a]` and `\\W` count for, `unicode` what `\\pL` does. A bound, not a parser: what is no regex
    at all fails in RE2, which sees it next.
    """
    totals, last, i = [0], 0, 0
    while i < len(pattern):
        char, i = pattern[i], i + 1
        if char == "(":
            totals.append(0)
            last = 0
            continue
        if char == "{":
            count, i = _count(pattern, i)
            totals[-1] += last * (count - 1)
            last *= count
            continue
        if char == ")" and len(totals) > 1:
            last = totals.pop() + 1
        elif char == "\\":
            last, i = _escape(pattern, i, wide, unicode)
        elif char == "[":
            end = _class_end(pattern, i)
            inside, i = pattern[i:end], end + 1
            plain = inside.isascii() and "\\" not in inside and not inside.startswith("^")
            last = unicode if "\\p" in inside.lower() else 1 if plain else wide
        else:
            last = wide if char == "." else 1
        totals[-1] += last
    return sum(totals)


def _escape(pattern: str, at: int, wide: int, unicode: int) -> tuple[int, int]:
    """What the escape whose letter is at `at` counts for, and where it ends: `\\pL`, `\\p{Greek}`, `\\x{1F600}`."""
    letter, end = pattern[at : at + 1], at + 1
    if letter in ("p", "P", "x") and pattern[end : end + 1] == "{" and "}" in pattern[end:]:
        end = pattern.index("}", end) + 1
    elif letter in ("p", "P"):
        end += 1
    return (unicode if letter in ("p", "P") else wide if letter in ("D", "W", "S") else 1), end


def _count(pattern: str, start: int) -> tuple[int, int]:
    """The larger number of `{n}`, `{n,}` or `{n,m}` after its brace, and where it ends; 1 where it is no count."""
    end = pattern.find("}", start)
    numbers = pattern[start:end].split(",") if end > 0 else []
    counts = [int(number) for number in numbers if number.isdecimal() and len(number) < 6]
    return (max(1, *counts), end + 1) if counts else (1, start)


def _class_end(pattern: str, start: int) -> int:
    """Where the `]` of a class is. One right after `[` or `[^` is a member, as is one after a backslash."""
    at = start + pattern[start:].startswith("^")
    at += pattern[at : at + 1] == "]"
    while at < len(pattern) and pattern[at] != "]":
        if pattern.startswith("[:", at) and ":]" in pattern[at:]:
            at = pattern.index(":]", at) + 1
        at += 2 if pattern[at] == "\\" else 1
    return min(at, len(pattern))
