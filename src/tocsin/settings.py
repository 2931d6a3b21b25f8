"""Settings: the commented defaults file, then a TOML file, then the environment; read once, frozen from then on."""

import base64
import binascii
import os
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from tocsin.model import reference
from tocsin.model.errors import Invalid
from tocsin.model.hidden import Hidden
from tocsin.model.limits import Limit, Limits
from tocsin.model.rollout import ALERTS, Rollout, parse
from tocsin.provider_kit.provider import Tuning
from tocsin.providers import PROVIDERS

SECRET = {
    "TOCSIN_SECRET_KEY", "TOCSIN_DATABASE_URL", "SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET",
    "SENDGRID_API_KEY", "SMTP_PASSWORD", "TOCSIN_EGRESS_PROXY", "TOCSIN_OIDC_CLIENT_SECRET", "TOCSIN_BUS_URL",
}  # fmt: skip


class SettingsError(Exception):
    """A setting is wrong: names it, what was found and what was expected. Nothing was started."""


Seconds = Annotated[float, Meta(gt=0, le=120)]
Days = Annotated[int, Meta(ge=1, le=3650)]


class Settings(Hidden, frozen=True, forbid_unknown_fields=True):
    """Each field has its environment variable's name; settings.default.toml says what it means."""

    data_dir: str = field(name="TOCSIN_DATA_DIR")
    database_url: str = field(name="TOCSIN_DATABASE_URL")
    host: str = field(name="TOCSIN_HOST")
    port: Annotated[int, Meta(ge=0, le=65535)] = field(name="TOCSIN_PORT")
    public_url: str = field(name="TOCSIN_PUBLIC_URL")
    trusted_proxies: str = field(name="TOCSIN_TRUSTED_PROXIES")
    secret_key: str = field(name="TOCSIN_SECRET_KEY")
    session_idle_minutes: Annotated[int, Meta(ge=5, le=43_200)] = field(name="TOCSIN_SESSION_IDLE_MINUTES")
    session_hours: Annotated[int, Meta(ge=1, le=720)] = field(name="TOCSIN_SESSION_HOURS")
    oidc_issuer: str = field(name="TOCSIN_OIDC_ISSUER")
    oidc_client_id: str = field(name="TOCSIN_OIDC_CLIENT_ID")
    oidc_client_secret: str = field(name="TOCSIN_OIDC_CLIENT_SECRET")
    oidc_scopes: str = field(name="TOCSIN_OIDC_SCOPES")
    oidc_name: str = field(name="TOCSIN_OIDC_NAME")
    oidc_role_claim: str = field(name="TOCSIN_OIDC_ROLE_CLAIM")
    oidc_role_map: str = field(name="TOCSIN_OIDC_ROLE_MAP")
    oidc_default_role: Literal["", "viewer", "developer", "admin"] = field(name="TOCSIN_OIDC_DEFAULT_ROLE")
    oidc_tenant_claim: str = field(name="TOCSIN_OIDC_TENANT_CLAIM")
    oidc_tenant_map: str = field(name="TOCSIN_OIDC_TENANT_MAP")
    oidc_link_by_email: bool = field(name="TOCSIN_OIDC_LINK_BY_EMAIL")
    jwt_issuer: str = field(name="TOCSIN_JWT_ISSUER")
    jwt_audience: str = field(name="TOCSIN_JWT_AUDIENCE")
    jwt_jwks_url: str = field(name="TOCSIN_JWT_JWKS_URL")
    jwt_public_key: str = field(name="TOCSIN_JWT_PUBLIC_KEY")
    jwt_tenant_claim: str = field(name="TOCSIN_JWT_TENANT_CLAIM")
    jwt_user_claim: str = field(name="TOCSIN_JWT_USER_CLAIM")
    jwt_role_claim: str = field(name="TOCSIN_JWT_ROLE_CLAIM")
    jwt_role_map: str = field(name="TOCSIN_JWT_ROLE_MAP")
    bus_url: str = field(name="TOCSIN_BUS_URL")
    allow_targets: str = field(name="TOCSIN_ALLOW_TARGETS")
    deny_targets: str = field(name="TOCSIN_DENY_TARGETS")
    egress_only: str = field(name="TOCSIN_EGRESS_ONLY")
    egress_proxy: str = field(name="TOCSIN_EGRESS_PROXY")
    ca_file: str = field(name="TOCSIN_CA_FILE")
    connect_to: str = field(name="TOCSIN_CONNECT_TO")
    signature_header: str = field(name="TOCSIN_SIGNATURE_HEADER")
    log_level: Literal["debug", "info", "warning", "error"] = field(name="TOCSIN_LOG_LEVEL")
    log_format: Literal["auto", "json", "console"] = field(name="TOCSIN_LOG_FORMAT")
    otlp_endpoint: str = field(name="OTEL_EXPORTER_OTLP_ENDPOINT")
    access_log: bool = field(name="TOCSIN_ACCESS_LOG")
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = field(name="TOCSIN_METRICS_PORT")
    drain_s: Seconds = field(name="TOCSIN_DRAIN_SECONDS")
    stop_delay_s: Annotated[float, Meta(ge=0, le=120)] = field(name="TOCSIN_STOP_DELAY_SECONDS")
    retention_days: Days = field(name="TOCSIN_RETENTION_DAYS")
    retention_attempt_days: Days = field(name="TOCSIN_RETENTION_ATTEMPT_DAYS")
    retention_dead_days: Days = field(name="TOCSIN_RETENTION_DEAD_DAYS")
    retention_run_days: Days = field(name="TOCSIN_RETENTION_RUN_DAYS")
    retention_inbox_days: Days = field(name="TOCSIN_RETENTION_INBOX_DAYS")
    retention_audit_days: Days = field(name="TOCSIN_RETENTION_AUDIT_DAYS")
    flows: str = field(name="TOCSIN_FLOWS")
    flows_at_once: Annotated[int, Meta(ge=1, le=200)] = field(name="TOCSIN_FLOWS_AT_ONCE")
    flows_scripts: bool = field(name="TOCSIN_FLOWS_SCRIPTS")
    flows_env_prefix: str = field(name="TOCSIN_FLOWS_ENV_PREFIX")
    max_body_bytes: Annotated[int, Meta(ge=1024, le=64 * 1024 * 1024)] = field(name="TOCSIN_MAX_BODY_BYTES")
    limit_requests_per_s: Limit = field(name="TOCSIN_LIMIT_REQUESTS_PER_S")
    limit_events_per_s: Limit = field(name="TOCSIN_LIMIT_EVENTS_PER_S")
    limit_token_requests_per_s: Limit = field(name="TOCSIN_LIMIT_TOKEN_REQUESTS_PER_S")
    limit_token_events_per_s: Limit = field(name="TOCSIN_LIMIT_TOKEN_EVENTS_PER_S")
    limit_events_per_day: Limit = field(name="TOCSIN_LIMIT_EVENTS_PER_DAY")
    limit_stored_events: Limit = field(name="TOCSIN_LIMIT_STORED_EVENTS")
    limit_endpoints: Limit = field(name="TOCSIN_LIMIT_ENDPOINTS")
    limit_rules: Limit = field(name="TOCSIN_LIMIT_RULES")
    limit_silences: Limit = field(name="TOCSIN_LIMIT_SILENCES")
    limit_tokens: Limit = field(name="TOCSIN_LIMIT_TOKENS")
    limit_members: Limit = field(name="TOCSIN_LIMIT_MEMBERS")
    limit_secrets: Limit = field(name="TOCSIN_LIMIT_SECRETS")
    limit_streams: Limit = field(name="TOCSIN_LIMIT_STREAMS")
    flood_per_minute: Annotated[int, Meta(ge=0, le=100_000)] = field(name="TOCSIN_FLOOD_PER_MINUTE")
    slack_enabled: bool = field(name="NOTIFICATIONS_SLACK_ENABLED")
    teams_enabled: bool = field(name="NOTIFICATIONS_TEAMS_ENABLED")
    webhook_enabled: bool = field(name="NOTIFICATIONS_WEBHOOK_ENABLED")
    rollout_alerts: str = field(name="TOCSIN_ROLLOUT_ALERTS")
    rich_formatting: bool = field(name="NOTIFICATIONS_ENABLE_RICH_FORMATTING")
    mentions: bool = field(name="NOTIFICATIONS_ENABLE_MENTIONS")
    slack_webhook_url: str = field(name="SLACK_WEBHOOK_URL")
    slack_bot_enabled: bool = field(name="SLACK_ENABLED")
    slack_bot_token: str = field(name="SLACK_BOT_TOKEN")
    slack_channel: str = field(name="SLACK_DEFAULT_CHANNEL")
    slack_signing_secret: str = field(name="SLACK_SIGNING_SECRET")
    slack_rate: Annotated[float, Meta(gt=0, le=1000)] = field(name="SLACK_RATE_LIMIT_PER_WEBHOOK")
    slack_retries: Annotated[int, Meta(ge=-1, le=100)] = field(name="SLACK_RETRY_ATTEMPTS")
    slack_timeout_s: Annotated[float, Meta(gt=0, le=30)] = field(name="SLACK_TIMEOUT_SECONDS")
    teams_rate: Annotated[float, Meta(gt=0, le=1000)] = field(name="TEAMS_RATE_LIMIT_PER_WEBHOOK")
    teams_retries: Annotated[int, Meta(ge=-1, le=100)] = field(name="TEAMS_RETRY_ATTEMPTS")
    teams_timeout_s: Annotated[float, Meta(gt=0, le=30)] = field(name="TEAMS_TIMEOUT_SECONDS")
    email_enabled: bool = field(name="EMAIL_ENABLED")
    sendgrid_api_key: str = field(name="SENDGRID_API_KEY")
    smtp_host: str = field(name="SMTP_HOST")
    smtp_port: Annotated[int, Meta(ge=1, le=65535)] = field(name="SMTP_PORT")
    smtp_username: str = field(name="SMTP_USERNAME")
    smtp_password: str = field(name="SMTP_PASSWORD")
    smtp_tls: Literal["starttls", "tls", "none"] = field(name="SMTP_TLS")
    email_from_address: str = field(name="EMAIL_FROM_ADDRESS")
    email_from_name: str = field(name="EMAIL_FROM_NAME")
    admin_emails: str = field(name="NOTIFICATION_ADMIN_EMAILS")
    apprise_enabled: bool = field(name="TOCSIN_APPRISE_ENABLED")
    webhook_retries: Annotated[int, Meta(ge=-1, le=100)] = field(name="WEBHOOK_CUSTOM_RETRY_ATTEMPTS")
    webhook_timeout_s: Annotated[float, Meta(gt=0, le=30)] = field(name="WEBHOOK_CUSTOM_TIMEOUT_SECONDS")

    secrets: dict[str, str] = {}
    """What SECRET_<name> gives, decoded, by its name."""
    rollouts: dict[str, Rollout] = {}
    """What TOCSIN_ROLLOUT_<feature> gives, by feature: the alert engine and kinds of endpoints."""
    odd_secrets: tuple[str, ...] = ()
    """Variables of that kind that hold something else, and are left alone."""
    envs: dict[str, str] = {}
    """What flows see of the environment, by its name there."""

    @property
    def is_sqlite(self) -> bool:
        return not self.database_url

    @property
    def url(self) -> str:
        """Where people reach Tocsin, without a slash at its end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


@cache
def defaults() -> Mapping[str, Any]:
    return tomllib.loads((files("tocsin") / "settings.default.toml").read_text("utf-8"))


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Raises SettingsError. Pass an environment to read that one alone."""
    given = os.environ if environment is None else environment
    values = dict(defaults())
    switches = {rollout_setting(feature): feature for feature in (ALERTS, *PROVIDERS)}
    values |= dict.fromkeys(switches, "")
    values |= from_file(given.get("TOCSIN_CONFIG", ""), values)
    values |= {name: given[name] for name in values if name in given}
    try:
        rollouts = rollouts_of(values, switches)
        values = {name: value for name, value in values.items() if switches.get(name, ALERTS) == ALERTS}
        secrets, odd = secrets_of(given)
        envs = envs_of(given, values["TOCSIN_FLOWS_ENV_PREFIX"])
        found = {"secrets": secrets, "odd_secrets": odd, "envs": envs, "rollouts": rollouts}
        return msgspec.convert(values | found, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(explained(str(error), values)) from error


def rollout_setting(feature: str) -> str:
    return f"TOCSIN_ROLLOUT_{feature.upper()}"


def rollouts_of(values: Mapping[str, Any], switches: Mapping[str, str]) -> dict[str, Rollout]:
    """By feature, where one is set. Raises SettingsError."""
    found = {}
    for name, feature in switches.items():
        try:
            if values[name] != "":
                found[feature] = parse(name, feature, str(values[name]), name)
        except Invalid as wrong:
            raise SettingsError(f"{name}={wrong.found}: expected {wrong.expected}.") from wrong
    return found


class Supervisor(msgspec.Struct, frozen=True):
    """What systemd asks of a service: where to say how it goes ("" is nowhere), and how often at least; 0 is never."""

    notify_socket: str = ""
    watchdog_s: float = 0.0


def read_supervisor(environment: Mapping[str, str] | None = None) -> Supervisor:
    """sd_notify(3) and sd_watchdog_enabled(3). Numbers that are none count as not given: the start does not fail."""
    given = os.environ if environment is None else environment
    meant_for_us = given.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    microseconds = given.get("WATCHDOG_USEC", "")
    watchdog_s = int(microseconds) / 1e6 if meant_for_us and microseconds.isdigit() else 0.0
    return Supervisor(given.get("NOTIFY_SOCKET", ""), watchdog_s)


def secrets_of(environment: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Secrets by name from `SECRET_<name>`, base64; and the variables that hold no such thing: somebody else's."""
    found, odd = {}, []
    for variable, text in environment.items():
        name = variable.removeprefix("SECRET_")
        if name == variable or not reference.NAME.fullmatch(name):
            continue
        try:
            found[name] = base64.b64decode(text, validate=True).decode()
        except (binascii.Error, ValueError):
            odd.append(variable)
    return found, tuple(sorted(odd))


def envs_of(environment: Mapping[str, str], prefixes: str) -> dict[str, str]:
    """KESTRA_STAGE as `stage`, for the prefix KESTRA_. No prefix shows nothing, and none shows what is Tocsin's."""
    found: dict[str, str] = {}
    for prefix in filter(None, (one.strip() for one in str(prefixes).split(","))):
        for name, value in environment.items():
            if name.startswith(prefix) and name != prefix and not name.startswith("TOCSIN_") and name not in SECRET:
                found.setdefault(name.removeprefix(prefix).lower(), value)
    return found


def from_file(path: str, known: Mapping[str, Any]) -> dict[str, Any]:
    if not path:
        return {}
    try:
        found = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"TOCSIN_CONFIG={path}: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"TOCSIN_CONFIG={path} is not TOML: {error}.") from error
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise SettingsError(f"{path}: there is no setting {unknown[0]}.")
    return found


def explained(error: str, values: Mapping[str, Any]) -> str:
    """msgspec's `Expected int … - at `$.NAME`` with the name in front and what was found."""
    expected, _, place = error.rpartition(" - at `$.")
    name = place.rstrip("`")
    found = "***" if name in SECRET else repr(values.get(name))
    return f"{name}={found}: {expected or error}."


def provider_tuning(settings: Settings) -> dict[str, Tuning]:
    """Each provider's limits: what the settings say, else the provider's own."""
    off = {
        "slack": ("NOTIFICATIONS_SLACK_ENABLED", settings.slack_enabled),
        "teams": ("NOTIFICATIONS_TEAMS_ENABLED", settings.teams_enabled),
        "webhook": ("NOTIFICATIONS_WEBHOOK_ENABLED", settings.webhook_enabled),
        "slack_bot": ("SLACK_ENABLED", settings.slack_bot_enabled),
        "email": ("EMAIL_ENABLED", settings.email_enabled),
        "apprise": ("TOCSIN_APPRISE_ENABLED", settings.apprise_enabled),
    }
    own = {
        "slack": (settings.slack_rate, settings.slack_timeout_s, settings.slack_retries),
        "teams": (settings.teams_rate, settings.teams_timeout_s, settings.teams_retries),
        "webhook": (None, settings.webhook_timeout_s, settings.webhook_retries),
    }
    tuning = {}
    for kind, provider in PROVIDERS.items():
        rate, timeout_s, retries = own.get(kind, (provider.rate_per_s, provider.timeout_s, -1))
        flag, enabled = off.get(kind, ("", True))
        if kind.startswith("slack") and not settings.slack_enabled:
            flag, enabled = "NOTIFICATIONS_SLACK_ENABLED", False
        tuning[kind] = Tuning(
            rate_per_s=rate,
            timeout_s=timeout_s,
            max_attempts=provider.max_attempts if retries < 0 else retries + 1,
            off="" if enabled else f"{flag} is off",
            rich=settings.rich_formatting,
            mentions=settings.mentions,
        )
    return tuning


def operator_settings(settings: Settings) -> dict[str, dict[str, Any]]:
    """What the operator gives for all endpoints of a kind, by the names of the provider's own settings; see
    `Provider.operator`. What is empty is not given."""
    mail: dict[str, Any] = {
        "sendgrid_api_key": settings.sendgrid_api_key,
        "smtp_host": settings.smtp_host,
        "smtp_port": settings.smtp_port,
        "smtp_username": settings.smtp_username,
        "smtp_password": settings.smtp_password,
        "smtp_tls": settings.smtp_tls,
        "from_address": settings.email_from_address,
        "from_name": settings.email_from_name,
    }
    slack = {"bot_token": settings.slack_bot_token, "channel": settings.slack_channel}
    if not (settings.sendgrid_api_key or settings.smtp_host):
        mail = {name: value for name, value in mail.items() if name.startswith("from_")}
    given: dict[str, dict[str, Any]] = {"slack_bot": slack, "email": mail}
    return {kind: {name: value for name, value in found.items() if value} for kind, found in given.items()}


def standard_limits(settings: Settings) -> Limits:
    """Of every tenant that has none of its own."""
    counts = {name: getattr(settings, f"limit_{name}") for name in Limits.__struct_fields__ if name != "body_bytes"}
    return Limits(**counts, body_bytes=settings.max_body_bytes)
