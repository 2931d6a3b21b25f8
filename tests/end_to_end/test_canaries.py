"""Secrets that look like nothing else, through a whole life of a server; then the search for each of them everywhere.

What the answers that show a secret once show is left out; nothing else is.
"""

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.end_to_end.process import ROOT, Server, Site, steady_port, wait_for
from tests.postgres import start_postgres
from tocsin.web.server import ROUTES


def signing(text: str) -> str:
    return "whsec_" + base64.b64encode(text.ljust(32, "x").encode()).decode()


KEY, OLD_KEY = b"canaryKEYitself-0123456789abcdef", b"canaryOLDKEY----0123456789abcdef"
CANARIES = {
    "address": "canaryADDRESS8f3a21c0d9",
    "query": "canaryQUERY77aa90b1c2",
    "slack address": "canarySLACK0123456789aaa",
    "environment": "canarySLACKENV0123456aaa",
    "slack bot": "xoxb-1111111111-canaryBOTTOKEN0123456789",
    "slack signing": "canarySLACKSIGNING01234567890123",
    "smtp password": "canarySMTP-pass-4711",
    "header": "canaryHEADER55cc1234",
    "sendgrid": "SG.canarySENDGRID01234567.89012345678901234567890123456789",
    "pagerduty": "canaryPAGERDUTY00112233445566778",
    "telegram": "123456789:canaryTELEGRAM0123456789abcdefghijk",
    "oauth secret": "canaryOAUTHsecret-5511",
    "access token": "canaryACCESStoken-5515",
    "basic password": "canaryBASICpass-5522",
    "named secret": "canaryNAMED-5533-value",
    "replaced secret": "canaryREPLACED-5544-value",
    "environment's secret": "canaryFROMENV-5555-value",
    "password": "canaryPASSWORD-5566-of-mia",
    "signing": signing("canarySIGNING"),
    "next signing": signing("canaryNEXTSIGNING"),
    "key": base64.b64encode(KEY).decode(),
    "old key": base64.b64encode(OLD_KEY).decode(),
}


def forms(canary: str) -> set[bytes]:
    """As it is, and as stores, dumps and envelopes write it."""
    raw = canary.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw)[:-4]}
    if canary.startswith("whsec_"):
        found.add(base64.b64decode(canary.removeprefix("whsec_")))
    # Not even most of one, cut off where a text was cut.
    return found | {raw[:-6]} if "canary" in canary else found


class Echo:
    """Receivers that answer with everything they got: 500, or 200 once `well` is set."""

    def __init__(self) -> None:
        self.well = False
        self.asked: list[str] = []
        echo = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode("utf-8", "replace")
                echo.asked.append(self.path)
                said = json.dumps({"path": self.path, "headers": dict(self.headers), "body": body}).encode()
                if self.path == "/token" and echo.well:
                    said = json.dumps({"access_token": CANARIES["access token"], "token_type": "bearer"}).encode()
                self.send_response(200 if echo.well else 500)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", steady_port()), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def echo() -> Iterator[Echo]:
    found = Echo()
    yield found
    found.close()


def settings(echo: Echo) -> dict[str, str]:
    hosts = ("hooks.slack.com", "slack.com", "api.sendgrid.com", "events.pagerduty.com", "api.telegram.org")
    named = base64.b64encode(CANARIES["environment's secret"].encode()).decode()
    return {
        "TOCSIN_LOG_LEVEL": "debug",
        "TOCSIN_SECRET_KEY": f"{CANARIES['key']},{CANARIES['old key']}",
        "TOCSIN_CONNECT_TO": ",".join(f"{host}={echo.base}" for host in hosts),
        "SLACK_WEBHOOK_URL": f"https://hooks.slack.com/services/T00000001/B00000001/{CANARIES['environment']}",
        "SLACK_BOT_TOKEN": CANARIES["slack bot"],
        "SLACK_DEFAULT_CHANNEL": "#alerts",
        "SLACK_SIGNING_SECRET": CANARIES["slack signing"],
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(steady_port()),  # nobody listens
        "SMTP_USERNAME": "tocsin",
        "SMTP_PASSWORD": CANARIES["smtp password"],
        "SMTP_TLS": "none",
        "EMAIL_FROM_ADDRESS": "tocsin@example.com",
        "NOTIFICATION_ADMIN_EMAILS": "ops@example.com",
        "SECRET_FROM_ENV": named,
    }


def endpoints(echo: Echo) -> list[dict[str, Any]]:
    url = f"{echo.base}/in/{CANARIES['address']}/x?key={CANARIES['query']}"
    named = {"X-Token": "secret:NAMED", "X-Given": "Bearer secret:FROM_ENV"}
    oauth = {"auth": "oauth2", "token_url": f"{echo.base}/token", "client_id": "me"}
    slack = f"https://hooks.slack.com/services/T00000000/B00000000/{CANARIES['slack address']}"
    return [
        {"provider_type": "webhook", "webhook_url": url, "secret": CANARIES["signing"],
         "headers": {"Authorization": f"Bearer {CANARIES['header']}"}},
        {"provider_type": "webhook", "webhook_url": f"{echo.base}/named", "headers": named},
        {"provider_type": "webhook", "webhook_url": f"{echo.base}/oauth",
         "settings": oauth | {"client_secret": CANARIES["oauth secret"]}},
        {"provider_type": "webhook", "webhook_url": f"{echo.base}/basic",
         "settings": {"auth": "basic", "username": "me", "password": CANARIES["basic password"]}},
        {"provider_type": "slack", "webhook_url": slack},
        {"provider_type": "pagerduty", "settings": {"routing_key": CANARIES["pagerduty"]}},
        {"provider_type": "telegram", "settings": {"bot_token": CANARIES["telegram"], "chat_id": "-1001"}},
        {"provider_type": "email", "settings": {"sendgrid_api_key": CANARIES["sendgrid"], "to": ["a@example.com"],
                                                "from_address": "b@example.com"}},
    ]  # fmt: skip


class Life:
    """What was answered and printed meanwhile, by what it was."""

    def __init__(self, site: Site, server: Server) -> None:
        self.site = site
        self.server = server
        self.said: dict[str, bytes] = {}
        self.given = {"token": site.token}

    def call(self, method: str, path: str, body: Any = None, *, status: int | None = None, once: str = "") -> Any:
        """`once` names the canary that this answer may show."""
        found, headers, answer = self.server.call(method, path, body, timeout_s=30.0)
        assert status is None or found == status, answer
        text = (json.dumps(answer, ensure_ascii=False) if not isinstance(answer, str) else answer).encode()
        if once:
            assert text.count(CANARIES[once].encode()) == 1
            text = text.replace(CANARIES[once].encode(), b"")
        self.said[f"{method} {path} ({len(self.said)})"] = text + repr(headers).encode()
        return answer

    def run(self, *words: str) -> None:
        done = subprocess.run(
            [*self.site.command, *words],
            env=self.site.environment,
            cwd=self.site.folder,
            capture_output=True,
            timeout=60,
        )
        assert b"Traceback" not in done.stderr, done.stderr
        self.said[f"tocsin {' '.join(words)}"] = done.stdout + done.stderr

    def live(self, echo: Echo) -> None:
        self.call("POST", "/v1/secrets", {"name": "NAMED", "value": CANARIES["named secret"]}, status=201)
        webhooks = []
        for number, body in enumerate(endpoints(echo)):
            given = body | {"name": f"w{number}", "enabled_events": ["*"]}
            made = self.call("POST", "/v1/webhooks", given, status=201, once="signing" if "secret" in body else "")
            webhooks.append(made["id"])
        rule = {"name": "r", "webhook_endpoint_ids": webhooks, "retry": {"max_attempts": 2}}
        self.call("POST", "/v1/alert-rules", rule, status=201)
        self.call("POST", "/v1/events", {"id": "e1", "type": "run.failed", "pipeline": "p", "run_id": "r"}, status=202)
        wait_for("all have failed once", lambda: not self.waiting("attempts = 0"), 30.0)
        echo.well = True
        self.call(
            "POST", "/v1/events", {"id": "e2", "type": "run.succeeded", "pipeline": "p", "run_id": "r"}, status=202
        )
        for id_ in webhooks:
            self.call("POST", f"/v1/webhooks/{id_}/test")
            self.call("POST", "/v1/webhooks/preview", {"webhook_id": id_, "sample": "failed"})
        first = f"/v1/webhooks/{webhooks[0]}"
        self.call(
            "POST", f"{first}/rotate-secret", {"secret": CANARIES["next signing"]}, status=200, once="next signing"
        )
        self.call("PUT", "/v1/secrets/NAMED", {"value": CANARIES["replaced secret"]}, status=200)
        self.call("POST", f"/v1/webhooks/{webhooks[1]}/test")
        self.mistakes(first)
        self.sign_in()
        commands = (("config", "export"), ("audit", "export"), ("doctor", "-o", "json"), ("secret", "list"))
        for words in commands if self.site.postgres is None else ():  # they ask the same API of both stores
            self.run(*words)
        self.ask_everything()

    def sign_in(self) -> None:
        """Somebody sets a password, signs in, and mistypes; what they are given joins the canaries."""
        mia, password = {"user_id": "mia", "role": "viewer", "email": "mia@example.com"}, CANARIES["password"]
        self.call("POST", "/v1/members", mia, status=201)
        made = self.server.call("POST", "/v1/members/mia/sign-in-link", {})[2]["link"]
        self.given["link to sign in"] = made.rpartition("=")[2]
        form = {"token": self.given["link to sign in"], "password": password, "again": password}
        assert self.send("/set-password", urlencode(form), "application/x-www-form-urlencoded")[0] == 303
        for word in (password + "?", password):
            login = json.dumps({"email": mia["email"], "password": word})
            status, headers = self.send("/auth/login", login, "application/json")
            assert status == (200 if word == password else 401)
        self.given["session"] = headers["set-cookie"].partition("=")[2].partition(";")[0]
        assert len(self.given["session"]) > 30

    def send(self, path: str, body: str, media: str) -> tuple[int, dict[str, str]]:
        """As a page of Tocsin's own would."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        origin = {"origin": self.server.url, "sec-fetch-site": "same-origin", "content-type": media}
        connection.request("POST", path, body, origin)
        reply = connection.getresponse()
        self.said[f"POST {path} ({len(self.said)})"] = reply.read()
        connection.close()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}

    def waiting(self, which: str) -> int:
        sql = f"SELECT count(*) FROM delivery WHERE status IN ('pending', 'sending', 'retrying') AND {which}"
        return int(self.site.rows(sql)[0][0])

    def mistakes(self, webhook: str) -> None:
        """That hold a secret where none belongs."""
        canary = CANARIES["address"]
        self.call("PATCH", webhook, {"webhook_url": f"http://10.0.0.1/{canary}"}, status=400)
        self.call("PATCH", webhook, {"webhook_url": canary}, status=400)
        self.call("PATCH", webhook, {"headers": {"X-A": f"{CANARIES['header']}\n"}}, status=400)
        self.call("POST", f"{webhook}/rotate-secret", {"secret": f"whsec_{canary}"}, status=400)
        self.call("PUT", "/v1/secrets/NAMED", {"value": CANARIES["replaced secret"] + "\n"}, status=400)
        bad = {"provider_type": "pagerduty", "name": "x", "settings": {"routing_key": CANARIES["pagerduty"] + "-"}}
        self.call("POST", "/v1/webhooks", bad, status=400)

    def ask_everything(self) -> None:
        """Every GET that there is, of everything that there is."""
        lists = [
            route for route in ROUTES if route.method == "GET" and "cursor" in route.query and "{" not in route.path
        ]
        known: dict[str, list[str]] = {"/v1/pipelines": ["p"]}
        for route in lists:
            answer = self.call("GET", f"{route.path}?limit=100")
            items = answer.get("items", []) if isinstance(answer, dict) else []
            known[route.path] = [str(one.get("id", one.get("name", one.get("user_id")))) for one in items][:12]
        for route in ROUTES:
            if route.method == "GET" and "stream" not in route.path:
                collection = route.path.partition("/{")[0]
                for id_ in known.get(collection, ["nothing"]) if "{" in route.path else [""]:
                    self.call("GET", re.sub(r"{\w+}", id_, route.path))

    def fail_inside(self) -> None:
        """A fault of ours, with everything in reach: what is stored is no JSON any more."""
        self.site.rows("UPDATE endpoint SET options = '{'")
        self.site.rows("UPDATE tenant SET config_version = config_version + 1")
        self.call("POST", "/v1/events", {"id": "e9", "type": "run.failed"})
        self.call("GET", "/v1/webhooks", status=500)
        assert "exception" in self.server.log()


def stored(site: Site, folder: Path) -> dict[str, bytes]:
    """The store as files, dumps and copies have it."""
    if site.postgres is None:
        found = {file.name: file.read_bytes() for file in site.data_dir.iterdir() if file.name.startswith("tocsin.db")}
        assert len(found) > 1, "there is no write-ahead log to look at"
        site.run("backup", str(folder / "copy.db"))
        return found | {"the back-up": (folder / "copy.db").read_bytes()}
    command = [str(site.postgres.binaries / "pg_dump"), "-d", site.postgres.dsn(site.database)]
    done = subprocess.run(command, capture_output=True, env={"LC_ALL": "C", "PATH": str(site.postgres.binaries)})
    assert done.returncode == 0, done.stderr
    return {"pg_dump": done.stdout}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_no_secret_is_anywhere(kind: str, tmp_path: Path, echo: Echo) -> None:
    # S4-12 S22 S1-14
    postgres = start_postgres(tmp_path / "pg", durable=False, port=steady_port()) if kind == "postgres" else None
    try:
        with Site(tmp_path / "site", postgres=postgres, database="canaries", settings=settings(echo)) as site:
            server = site.server().start()
            site.environment |= {"TOCSIN_URL": server.url, "TOCSIN_TOKEN": site.token}
            life = Life(site, server)
            life.live(echo)
            for part in (CANARIES["address"], CANARIES["telegram"], "/named", "/token", "/oauth", "/basic", "/v3/mail"):
                assert any(part in path for path in echo.asked), f"nothing was sent to {part}"
            found = stored(site, tmp_path)
            assert any(b"webhook-timestamp" in text for text in found.values()), "no answer was kept to look at"
            life.fail_inside()
            found |= life.said
            found["/proc/PID/cmdline"] = Path(f"/proc/{server.pid}/cmdline").read_bytes()
            found["the log"] = server.log_file.read_bytes()
            assert b"Traceback" in found["the log"] or b"exception" in found["the log"]
            for name, canary in (CANARIES | life.given).items():
                for form in forms(canary):
                    for what, text in found.items():
                        at = text.find(form)
                        assert at < 0, f"{what} shows the {name}: {text[max(0, at - 200) : at + 60]!r}"
            no_core(server, site)
    finally:
        if postgres is not None:
            postgres.remove()


def no_core(server: Server, site: Site) -> None:
    """S22: it holds keys while it lives, and leaves none behind when it crashes."""
    limits = Path(f"/proc/{server.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), limits
    server.signal(signal.SIGABRT)
    ended = os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGABRT)
    assert not list(site.folder.glob("core*"))


def test_a_process_cannot_be_dumped_or_read() -> None:
    # S22: prctl(PR_GET_DUMPABLE) and the limit, asked by the process itself
    code = (
        "import ctypes, resource; from tocsin.cli.hardening import leave_no_core_dump as leave;"
        "prctl = ctypes.CDLL(None).prctl;"
        "print(prctl(3, 0, 0, 0, 0)); leave(); print(prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0", "0", "0"]
