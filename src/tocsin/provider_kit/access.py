"""How an endpoint is got into: a login, a token, certificates. Settings of a provider's own that inherit these."""

import re
from typing import Annotated, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from msgspec import Meta, Struct

from tocsin.model.errors import Invalid
from tocsin.model.wire import Basic, Bearer, ClientCredentials, Credentials, Tls
from tocsin.provider_kit.provider import SecretText

Text = Annotated[str, Meta(max_length=512)]
Pem = Annotated[str, Meta(max_length=65_536)]
KeyPem = Annotated[str, Meta(max_length=16_384, extra_json_schema={"writeOnly": True}, extra={"secret": True})]
"""Sealed as a SecretText is, and longer: an RSA key of 8192 bits takes 6.5 KB."""

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, 3.3
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_TOKEN = re.compile(r"[\x21-\x7e]*")


class Access(Struct, frozen=True, kw_only=True):
    """Nothing of it set is an endpoint that anybody may write to, as most are who know its address."""

    auth: Literal["none", "basic", "bearer", "oauth2"] = "none"
    username: Text = ""
    password: SecretText = ""
    token: SecretText = ""
    token_url: Annotated[str, Meta(max_length=2048)] = ""
    client_id: Text = ""
    client_secret: SecretText = ""
    scopes: Annotated[tuple[Text, ...], Meta(max_length=50)] = ()
    audience: Text = ""
    client_secret_in_body: bool = False
    client_certificate: Pem = ""
    client_key: KeyPem = ""
    ca: Pem = ""


NEEDED = {
    "none": (),
    "basic": ("username",),
    "bearer": ("token",),
    "oauth2": ("token_url", "client_id", "client_secret"),
}
"""What each way needs; the other settings about ways in must then be left out: they would do nothing, unnoticed."""
TAKEN = {
    "none": (),
    "basic": ("username", "password"),
    "bearer": ("token",),
    "oauth2": ("token_url", "client_id", "client_secret", "scopes", "audience", "client_secret_in_body"),
}


def check_access(given: Access) -> None:
    """Raises Invalid for what cannot work: something is missing, does nothing, or is no certificate."""
    for name in NEEDED[given.auth]:
        if not getattr(given, name):
            raise Invalid(f"settings.{name}", "nothing", f"a value: `auth` is {given.auth}")
    for name in {name for names in TAKEN.values() for name in names}.difference(TAKEN[given.auth]):
        if getattr(given, name):
            way = next(way for way, names in TAKEN.items() if name in names)
            raise Invalid(f"settings.{name}", "a value", f"nothing, or `auth` = {way}; it is {given.auth}")
    if ":" in given.username or not _PRINTABLE.fullmatch(given.username):  # RFC 7617, 2
        raise Invalid("settings.username", "a colon or a character that is not visible ASCII", "a name without them")
    if any(ord(char) < 32 or ord(char) == 127 for char in given.password):
        raise Invalid("settings.password", "a control character", "a password without one")
    if not _TOKEN.fullmatch(given.token):
        raise Invalid("settings.token", "a space or a character that is not visible ASCII", "the token alone")
    if given.token_url and not given.token_url.startswith(("https://", "http://")):
        raise Invalid("settings.token_url", "another scheme or none", "https://")
    for scope in given.scopes:
        if not _SCOPE.fullmatch(scope):
            raise Invalid("settings.scopes", "a space or a character that no scope may hold", "one scope each")
    check_certificates(given)


def check_certificates(given: Access) -> None:
    """Raises Invalid where certificate and key do not belong together, or are none."""
    if given.ca:
        certificates("ca", given.ca)
    if bool(given.client_certificate) != bool(given.client_key):
        missing = "client_key" if given.client_certificate else "client_certificate"
        raise Invalid(f"settings.{missing}", "nothing", "certificate and key together")
    if not given.client_certificate:
        return
    first = certificates("client_certificate", given.client_certificate)[0]
    try:
        key = serialization.load_pem_private_key(given.client_key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        raise Invalid("settings.client_key", "something else", "a PEM private key that is not encrypted") from None
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != first.public_key().public_bytes(*form):
        raise Invalid("settings.client_key", "another certificate's key", "the key of `client_certificate`")


def certificates(name: str, pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise Invalid(f"settings.{name}", "something else", "PEM certificates (-----BEGIN CERTIFICATE-----)") from None


def credentials(given: Access) -> Credentials | None:
    """What `outbound` shall authorise itself with."""
    match given.auth:
        case "none":
            return None
        case "basic":
            return Basic(given.username, given.password)
        case "bearer":
            return Bearer(given.token)
        case "oauth2":
            return ClientCredentials(
                given.token_url,
                given.client_id,
                given.client_secret,
                given.scopes,
                given.audience,
                given.client_secret_in_body,
            )


def tls(given: Access) -> Tls | None:
    """The certificates of this endpoint's own."""
    if not (given.client_certificate or given.ca):
        return None
    return Tls(given.client_certificate, given.client_key, given.ca)
