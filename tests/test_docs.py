"""What the documentation names is there, what it shows happens, and what can be made from the code is made from it."""

import itertools
import json
import re
import shlex
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from benchmarks.__main__ import FIGURES
from tests.compose.samples import SAMPLES
from tests.moving_picture import durations_ms
from tocsin.cli.main import app
from tocsin.compose.message import compose
from tocsin.model.delivery import STATUSES
from tocsin.model.endpoint import Target
from tocsin.model.errors import Invalid
from tocsin.model.noise import Noise
from tocsin.model.wire import Sending
from tocsin.provider_kit.body import body
from tocsin.provider_kit.provider import Provider
from tocsin.provider_kit.settings_form import form, secret_fields
from tocsin.providers import PROVIDERS, webhook
from tocsin.rules.condition import compile_condition
from tocsin.rules.noise_check import check_noise
from tocsin.settings import defaults, rollout_setting
from tocsin.sources.native import FIELDS, decode_native
from tocsin.web.api.alert_rules import RuleIn, noise_of
from tocsin.web.problems import encoded, problem_of
from tocsin.web.server import ROUTES

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TEXTS = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in PAGES}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

FENCE = re.compile(
    r"(?:^<!-- (?P<note>[^\n]+) -->\n)?^ *```(?P<language>\w*)\n(?P<body>.*?)^ *```", re.MULTILINE | re.DOTALL
)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
SETTING = re.compile(r"\b(?:TOCSIN|NOTIFICATIONS|SLACK|WEBHOOK)_[A-Z_]+\b")
ROUTE = re.compile(r"(?:\b(GET|POST|PATCH|DELETE|PUT) )?(/(?:api/v1/|v1/|healthz|readyz|metrics|openapi)[\w/{}$.-]*)")
PATH = re.compile(r"[\w.-]+(?:/[\w.-]*)+|[\w.-]+\.(?:py|sql|toml|md)")
COMMAND: Any = typer.main.get_command(app)
NAMES = frozenset(path.name for path in (ROOT / "src").rglob("*"))
NO_PATHS = ("application/", "incident.md", "dist/")
"""Media types, and what a command writes."""
NO_SETTINGS = {
    "TOCSIN_URL", "TOCSIN_TOKEN", "TOCSIN_CONFIG", "TOCSIN_PIPELINE", "TOCSIN_RUN_ID", "TOCSIN_SPOOL_DIR", "WEBHOOK_ID",
    "TOCSIN_WEBHOOK_SECRET",
}  # fmt: skip
"""What commands and example receivers read, and the heading of a column."""


def blocks(text: str, note: str = "") -> Iterator[tuple[str, str]]:
    """(what the note before a block says after `note`, the block)"""
    for found in FENCE.finditer(text):
        said = found["note"] or ""
        if said == note or (note and said.startswith(f"{note}: ")):
            yield said[len(note) + 2 :], found["body"]


def without_blocks(text: str) -> str:
    return FENCE.sub("", text)


def shell_lines() -> Iterator[tuple[str, str]]:
    """Every command line of the pages: those in blocks, and spans that begin with a command."""
    for page, text in TEXTS.items():
        for found in FENCE.finditer(text):
            if found["language"] in ("sh", ""):
                for line in found["body"].replace("\\\n", " ").splitlines():
                    yield page, line.strip().removeprefix("$ ").partition("  #")[0]
        for span in SPAN.findall(without_blocks(text)):
            yield page, span


def tocsin_lines() -> list[tuple[str, list[str]]]:
    """The words after each `tocsin`."""
    found = []
    for page, line in shell_lines():
        inside = re.search(r"(?:^|\$\()tocsin (?P<words>[^)]*)", line)
        if inside:
            found.append((page, shlex.split(inside["words"])))
    return found


# Links, files, names.


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_leads_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    for target in LINK.findall(without_blocks(TEXTS[page])):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (folder / path).resolve() if path else ROOT / page
        assert file.exists(), f"{page} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}, target


@pytest.mark.parametrize("page", TEXTS)
def test_every_file_named_exists(page: str) -> None:
    """Spans that look like a path: from the root, from src/tocsin, or a file of the sources by its name alone."""
    for span in SPAN.findall(without_blocks(TEXTS[page])):
        if not PATH.fullmatch(span) or span.startswith(NO_PATHS):
            continue
        there = (ROOT / span).exists() or (ROOT / "src/tocsin" / span).exists() or span in NAMES
        assert there, f"{page} names {span}"


@pytest.mark.parametrize("page", TEXTS)
def test_every_setting_named_exists(page: str) -> None:
    for name in SETTING.findall(TEXTS[page]):
        assert name in {*defaults(), *map(rollout_setting, PROVIDERS), *NO_SETTINGS}, f"{page} names {name}"


@pytest.mark.parametrize("page", TEXTS)
def test_every_route_named_exists(page: str) -> None:
    known = {(route.method, re.sub(r"{\w+}", "{}", route.path)) for route in ROUTES}
    for method, path in ROUTE.findall(TEXTS[page]):
        if path.endswith(".md"):
            continue
        path = re.sub(r"{\w+}|/evt_\w+|/\$[A-Z]+", lambda found: "{}" if found[0][0] == "{" else "/{}", path).rstrip(
            "."
        )
        methods = {one for one, its_path in known if its_path == path}
        if not methods:  # a source by its name
            methods = {one for one, its_path in known if its_path == re.sub(r"^(/v1/ingest)/\w+$", r"\1/{}", path)}
        assert methods, f"{page} names {path}"
        assert not method or method in methods, f"{page} names {method} {path}"


def test_every_command_and_option_named_exists() -> None:
    lines = tocsin_lines()
    assert len(lines) > 15
    for page, words in lines:
        check_tocsin(page, words)


def check_tocsin(page: str, words: list[str]) -> None:
    """The command is one, and has these options. `words`: what follows `tocsin`."""
    command = COMMAND
    left = list(words)
    while (known := getattr(command, "commands", None)) and left and not left[0].startswith("-"):
        assert left[0] in known, f"{page}: tocsin {' '.join(words)}"
        command = known[left.pop(0)]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in itertools.takewhile(lambda word: word != "--", left):
        if re.match(r"--?[a-z]", word) and word not in ("--help", "-h"):
            assert word.partition("=")[0] in options, f"{page}: tocsin {' '.join(words)} has no {word}"


def test_every_command_is_in_the_changelog() -> None:
    command = COMMAND
    for name in command.commands:
        assert re.search(rf"`(tocsin )?{name}`", TEXTS["CHANGELOG.md"]), f"CHANGELOG.md does not name {name}"


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set()
    for _, line in shell_lines():
        if line.startswith("make "):
            named |= {word for word in line.split()[1:] if word.isalpha()}
    assert {"demo", "test"} <= named <= targets


def test_every_benchmark_named_exists() -> None:
    named = set()
    for _, line in shell_lines():
        if line.startswith("python -m benchmarks "):
            named |= {
                word for word in line.split()[3:] if word.replace("-", "").isalpha() and not word.startswith("--")
            }
    assert {"sqlite-single", "hanging", "idle"} <= named <= set(FIGURES)


# What is made from the code, or compared with it.


def between(page: str, mark: str) -> tuple[str, str, str]:
    """A page before, within and after its generated part."""
    before, begin, rest = TEXTS[page].partition(f"<!-- {mark} -->\n")
    inside, end, after = rest.partition("<!-- end -->")
    assert begin, f"{page} has no part {mark}"
    assert end, f"{page}: the part {mark} has no end"
    return before + begin, inside, end + after


def generated(page: str, mark: str, made: str, update: bool) -> None:
    before, inside, after = between(page, mark)
    if update:
        (ROOT / page).write_text(before + made + after, "utf-8")
        return
    assert inside == made, f"{page} is not what the code says: run `make golden`"


def route_table() -> str:
    lines = ["| | role | scope | |", "|---|---|---|---|"]
    for route in ROUTES:
        filters = [name for name in route.query if name not in ("limit", "cursor")]
        asked = f" (`?{'`, `'.join(filters)}`)" if filters else ""
        lines.append(
            f"| `{route.method} {route.path}` | {route.role or '–'} | {route.needs or '–'} | {route.summary}{asked} |"
        )
    return "\n".join(lines) + "\n"


def settings_tables() -> str:
    """The defaults file as tables: its headings, its names, its comments."""
    lines: list[str] = []
    said: list[str] = []
    for line in (ROOT / "src/tocsin/settings.default.toml").read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"# --- (.+?) -+", line):
            lines += ["", f"## {heading[1]}", "", "| setting | default | |", "|---|---|---|"]
            said = []
        elif line.startswith("# "):
            said.append(line[2:])
        elif setting := re.fullmatch(r"([A-Z_]+) = (.+?)(?:\s+# (.+))?", line):
            name, default, beside = setting.groups()
            meaning = " ".join([*said, *([beside] if beside else [])]) or "as above"
            lines.append(f"| `{name}` | `{default}` | {meaning.replace('<', '&lt;')} |")
            said = []
        elif not line:
            said = []
    return "\n".join(lines[1:]) + "\n"


def provider_table() -> str:
    lines = ["| `provider_type` | | of a run |", "|---|---|---|"]
    for provider in PROVIDERS.values():
        way = (
            "one message, kept up to date"
            if provider.live
            else "an alarm, opened and closed"
            if provider.resolve
            else ""
        )
        lines.append(
            f"| `{provider.kind}` | {provider.about or provider.label} | {way or 'a message for each event'} |"
        )
    return "\n".join(lines) + "\n"


def provider_settings(provider: Provider) -> str:
    """The settings type as a table: its fields, their defaults, and what its docstring says of each."""
    schema, secret = form(provider.settings_type), secret_fields(provider.settings_type)
    lines = ["| setting | default | |", "|---|---|---|"]
    for name, found in schema["properties"].items():
        default = "required" if name in schema.get("required", ()) else f"`{json.dumps(found.get('default'))}`"
        meaning = found.get("description", "").replace("|", "\\|")
        assert meaning, f"the docstring of {provider.settings_type.__name__} says nothing of {name}"
        sealed = "Secret. " if name in secret else ""
        lines.append(f"| `{name}` | {default} | {sealed}{meaning[0].upper()}{meaning[1:]} |")
    return "\n".join(lines) + "\n"


def test_every_provider_is_on_its_page(request: pytest.FixtureRequest) -> None:
    """Its section has a table that is made from its settings type."""
    page, made = "docs/providers.md", {"providers": provider_table()}
    made |= {f"settings: {kind}": provider_settings(provider) for kind, provider in PROVIDERS.items()}
    text = TEXTS[page]
    for mark, part in made.items():
        before, _, rest = text.partition(f"<!-- {mark} -->\n")
        assert rest, f"{page} has no part {mark}"
        text = f"{before}<!-- {mark} -->\n{part}<!-- end -->{rest.partition('<!-- end -->')[2]}"
    if request.config.getoption("--update-golden"):
        (ROOT / page).write_text(text, "utf-8")
    else:
        assert text == TEXTS[page], f"{page} is not what the code says: run `make golden`"
    assert set(re.findall(r"<!-- settings: (\w+) -->", text)) == set(PROVIDERS)


def test_every_picture_is_there_and_small() -> None:
    """Each in light and dark; tests/make_images.py makes them."""
    shown = {found for text in TEXTS.values() for found in re.findall(r"images/([\w-]+\.(?:png|webp))", text)}
    files = {file.name: file for file in (ROOT / "docs/images").iterdir() if file.is_file()}
    assert shown <= set(files)
    for name, file in files.items():
        assert file.stat().st_size < {".png": 150_000, ".webp": 1_500_000}[file.suffix], name
        assert name.replace("-light", "-dark") in files
        assert name.replace("-dark", "-light") in shown
    pages = re.findall(r"images/(dashboard/[\w-]+\.png)", TEXTS["docs/dashboard.md"])
    assert len(pages) > 5
    assert all((ROOT / "docs/images" / page).is_file() for page in pages)
    assert sum(file.stat().st_size for file in (ROOT / "docs/images/dashboard").iterdir()) < 1_500_000


@pytest.mark.parametrize("file", sorted(ROOT.glob("docs/images/*.webp")), ids=lambda file: str(file.stem))
def test_moving_pictures_move_and_are_calm(file: Path) -> None:
    shown = durations_ms(file)
    assert len(shown) > 10
    assert min(shown) >= 700
    assert 10_000 < sum(shown) < 45_000
    assert max(shown) == shown[-1]


def test_the_table_of_routes_is_complete(request: pytest.FixtureRequest) -> None:
    generated("docs/api.md", "routes", route_table(), request.config.getoption("--update-golden"))


def test_the_tables_of_settings_are_complete(request: pytest.FixtureRequest) -> None:
    made = settings_tables()
    assert set(re.findall(r"^\| `([A-Z_]+)`", made, re.MULTILINE)) == set(defaults())
    generated("docs/settings.md", "settings", made, request.config.getoption("--update-golden"))


def test_the_picture_of_the_layers_is_the_contract() -> None:
    (layers,) = [body for _, body in blocks(TEXTS["docs/architecture.md"], "layers")]
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    assert layers.split("\n")[:-1] == contracts[0]["layers"]
    named = re.search(r"<!-- contracts -->\n((?:- .+\n)+)", TEXTS["docs/architecture.md"])
    assert named is not None
    assert named[1].removeprefix("- ").rstrip("\n").split("\n- ") == [contract["name"] for contract in contracts]


def test_every_package_is_on_the_architecture_page() -> None:
    told = set(re.findall(r"^\| `([\w.]+)/?` \|", TEXTS["docs/architecture.md"], re.MULTILINE))
    there = {path.name for path in (ROOT / "src/tocsin").iterdir() if path.is_dir() or path.suffix == ".py"}
    assert told == there - {"__pycache__", "__init__.py"}


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/delivery-guarantees.md"])
def test_every_state_of_a_delivery_is_in_the_picture(page: str) -> None:
    (picture,) = [body for _, body in blocks(TEXTS[page]) if body.startswith("pending ──▶")]
    assert set(STATUSES) <= set(re.findall(r"[a-z]+", picture))


def test_decisions_are_numbered_and_short() -> None:
    found = sorted(name for name in TEXTS if name.startswith("docs/decisions/"))
    for number, name in enumerate(found, 1):
        text = TEXTS[name]
        assert re.fullmatch(rf"docs/decisions/{number:04d}-[a-z0-9-]+\.md", name)
        assert text.startswith(f"# {number}. ")
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Context", "Choice", "Price"]
        assert len(text.splitlines()) <= 30


# Examples.


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def signed_request(at_s: int) -> tuple[dict[str, str], bytes]:
    """What a webhook gets, made by the provider itself."""
    content = body(compose(*SAMPLES["failed"]))
    target = Target("https://orders.example/hooks/tocsin", webhook.WebhookSettings(), (SECRET,))
    request = webhook.render(Sending("dlv_1", at_s, target, body=content))
    return {name.lower(): value for name, value in request.headers}, request.body


def functions() -> dict[str, Any]:
    """The functions of docs/webhooks.md, by name."""
    found: dict[str, Any] = {}
    for name, code in blocks(TEXTS["docs/webhooks.md"], "run"):
        scope: dict[str, Any] = {}
        exec(compile(code, f"docs/webhooks.md, {name}", "exec"), scope)
        found[name] = scope[name]
    return found


def test_the_ways_to_check_a_signature_work() -> None:  # S4-08, S4-17
    headers, content = signed_request(int(time.time()))
    check = functions()
    assert set(check) == {"verified", "event", "hex_verified"}
    assert check["verified"](SECRET, headers, content)
    assert check["hex_verified"](SECRET, headers, content)
    assert check["event"](SECRET, headers, content)["kind"] == "run.failed"
    other = content.replace(b"failed", b"passed")
    assert not check["verified"](SECRET, headers, other)
    assert not check["hex_verified"](SECRET, headers, other)
    assert not check["verified"]("whsec_" + "A" * 32, headers, content)
    with pytest.raises(Exception, match="signature"):
        check["event"](SECRET, headers, other)


def test_the_way_with_the_standard_library_refuses_what_is_old() -> None:
    headers, content = signed_request(int(time.time()) - 301)
    assert not functions()["verified"](SECRET, headers, content)


def test_bodies_are_those_of_the_golden_files(request: pytest.FixtureRequest) -> None:
    page = "docs/webhooks.md"
    text = TEXTS[page]
    shown = list(blocks(text, "golden"))
    assert len(shown) == 3
    for name, example in shown:
        golden = (ROOT / f"tests/providers/golden/{name}.json").read_text("utf-8")
        text = text.replace(example, golden)
    if request.config.getoption("--update-golden"):
        (ROOT / page).write_text(text, "utf-8")
    else:
        assert text == TEXTS[page], "docs/webhooks.md shows other bodies: run `make golden`"


def test_the_template_gives_json() -> None:
    ((_, template),) = list(blocks(TEXTS["docs/webhooks.md"], "template"))
    made = json.loads(body(compose(*SAMPLES["failed"]), "template", (), template))
    assert set(made) == {"text", "rows"}


def test_the_conditions_compile() -> None:
    ((_, conditions),) = list(blocks(TEXTS["docs/why.md"], "conditions"))
    for condition in conditions.splitlines():
        compile_condition(condition)


def test_the_event_is_one_and_shows_every_field() -> None:
    ((_, example),) = list(blocks(TEXTS["docs/api.md"], "event"))
    assert set(json.loads(example)) == set(FIELDS)
    (draft,) = decode_native(example.encode())
    assert draft.kind == "run.failed"


def test_the_rule_is_one_and_shows_every_field() -> None:
    ((_, example),) = list(blocks(TEXTS["docs/api.md"], "rule"))
    msgspec.json.decode(example, type=RuleIn)
    short = {"event_type", "webhook_endpoint_id", "is_active"}
    assert set(json.loads(example)) == set(RuleIn.__struct_fields__) - short


def test_the_rules_about_noise_hold() -> None:
    shown: set[str] = set()
    for name, example in blocks(TEXTS["docs/noise.md"], "rule"):
        rule = msgspec.json.decode(example, type=RuleIn)
        noise = noise_of(rule, Noise())
        check_noise(noise, rule.pipelines)
        shown |= {field for field in Noise.__struct_fields__ if getattr(noise, field) != getattr(Noise(), field)}
        assert noise != Noise(), name
    assert shown == set(Noise.__struct_fields__) - {"retries", "templates"}


def test_the_problem_is_what_a_wrong_severity_is_answered_with() -> None:
    ((_, example),) = list(blocks(TEXTS["docs/api.md"], "problem"))
    with pytest.raises(Invalid) as caught:
        decode_native(b'{"type": "run.failed", "severity": "bad"}')
    assert json.loads(example) == json.loads(encoded(problem_of(caught.value)))


@pytest.mark.parametrize("page", TEXTS)
def test_curl_examples_send_json_that_is_accepted(page: str) -> None:
    for _, example in re.findall(r"curl http\S+(/v1/\w+) .*?-d '(.*?)'", TEXTS[page], re.DOTALL):
        sent = json.loads(example)
        if "type" in sent:
            decode_native(json.dumps(sent).encode())
        else:
            assert sent["provider_type"] in PROVIDERS
