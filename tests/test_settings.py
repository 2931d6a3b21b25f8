"""Settings: the defaults file is the defaults and the documentation; the environment counts first."""

from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from tocsin.settings import SECRET, Settings, SettingsError, defaults, provider_tuning, read_settings

TEXT = (files("tocsin") / "settings.default.toml").read_text("utf-8")

DOCUMENTED = (
    "NOTIFICATIONS_SLACK_ENABLED", "NOTIFICATIONS_TEAMS_ENABLED", "NOTIFICATIONS_WEBHOOK_ENABLED",
    "NOTIFICATIONS_ENABLE_RICH_FORMATTING", "NOTIFICATIONS_ENABLE_MENTIONS", "SLACK_WEBHOOK_URL",
    "SLACK_RATE_LIMIT_PER_WEBHOOK", "SLACK_RETRY_ATTEMPTS", "SLACK_TIMEOUT_SECONDS",
    "WEBHOOK_CUSTOM_RETRY_ATTEMPTS", "WEBHOOK_CUSTOM_TIMEOUT_SECONDS",
    "TOCSIN_DATABASE_URL", "TOCSIN_DATA_DIR", "TOCSIN_HOST", "TOCSIN_PORT", "TOCSIN_PUBLIC_URL", "TOCSIN_SECRET_KEY",
    "TOCSIN_ALLOW_TARGETS", "TOCSIN_CONNECT_TO",
)  # fmt: skip
"""The names that people know, of this version."""


def names() -> set[str]:
    """What is set by a name of its own; `secrets` are what SECRET_<name> gives, `envs` what flows see, `rollouts`
    TOCSIN_ROLLOUT_<kind>."""
    fields = {field.encode_name for field in msgspec.structs.fields(Settings)}
    return fields - {"secrets", "odd_secrets", "envs", "rollouts"}


def test_every_setting_has_a_default_and_a_comment() -> None:
    assert set(defaults()) == names()
    for name in defaults():
        before = TEXT.partition(f"\n{name} =")[0]
        paragraph = before.rpartition("\n\n")[2] + TEXT.partition(f"\n{name} =")[2].partition("\n")[0]
        assert "#" in paragraph, name


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_names_of_the_documents(name: str) -> None:
    # S1-03 S1-04 S1-05
    assert name in names()


def test_the_defaults_are_valid_and_safe() -> None:
    settings = read_settings({})
    assert settings.host == "127.0.0.1"
    assert settings.allow_targets == ""
    assert settings.connect_to == ""
    assert settings.is_sqlite


def test_the_environment_counts_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "tocsin.toml"
    file.write_text('TOCSIN_PORT = 9001\nTOCSIN_HOST = "10.0.0.1"\n')
    settings = read_settings({"TOCSIN_CONFIG": str(file), "TOCSIN_PORT": "9002"})
    assert (settings.port, settings.host, settings.log_level) == (9002, "10.0.0.1", "info")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOCSIN_PORT", "http"),
        ("TOCSIN_PORT", "65536"),
        ("TOCSIN_LOG_LEVEL", "loud"),
        ("SLACK_RATE_LIMIT_PER_WEBHOOK", "0"),
        ("SLACK_RETRY_ATTEMPTS", "-2"),
        ("WEBHOOK_CUSTOM_TIMEOUT_SECONDS", "31"),
        ("NOTIFICATIONS_SLACK_ENABLED", "maybe"),
        ("TOCSIN_RETENTION_DAYS", "0"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as error:
        read_settings({name: value})
    assert value in str(error.value)


@pytest.mark.parametrize("value", ["true", "1", "True", "false", "0"])
def test_flags(value: str) -> None:
    assert read_settings({"NOTIFICATIONS_SLACK_ENABLED": value}).slack_enabled is (value.lower() in ("true", "1"))


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TOCSIN_CONFIG"):
        read_settings({"TOCSIN_CONFIG": str(tmp_path / "none.toml")})
    for text in ("not toml", "TOCSIN_PROT = 1"):
        file = tmp_path / "bad.toml"
        file.write_text(text)
        with pytest.raises(SettingsError, match=r"not TOML|TOCSIN_PROT"):
            read_settings({"TOCSIN_CONFIG": str(file)})


def test_secrets_are_not_shown() -> None:
    canaries = dict.fromkeys(SECRET, "canary")
    settings = read_settings(canaries)
    assert "canary" not in repr(settings) + str(settings)


def test_retries_and_attempts() -> None:
    # S1-04: N retries are N + 1 attempts; -1 is the whole schedule
    assert provider_tuning(read_settings({}))["slack"].max_attempts is None
    for given, attempts in (("0", 1), ("3", 4)):
        assert provider_tuning(read_settings({"SLACK_RETRY_ATTEMPTS": given}))["slack"].max_attempts == attempts


def test_flags_say_which_they_are() -> None:
    # S1-20
    tuning = provider_tuning(read_settings({"NOTIFICATIONS_WEBHOOK_ENABLED": "false"}))
    assert tuning["webhook"].off == "NOTIFICATIONS_WEBHOOK_ENABLED is off"
    assert tuning["slack"].off == ""
