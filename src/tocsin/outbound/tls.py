"""TLS: whom we trust, who we say that we are, and what went wrong, in words that hold no name and no address."""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from tocsin.model.errors import Invalid
from tocsin.model.wire import Tls

CONTEXTS = 256
"""Endpoints with certificates of their own that are kept ready; some 100 KB each where they trust the system's CAs."""

# X509_V_ERR_…: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
MINIMUM = ssl.TLSVersion.TLSv1_2
"""https://www.rfc-editor.org/rfc/rfc8996 ends those before."""

_CERTIFICATE = {
    9: "the certificate is not valid yet: look at the receiver's clock, and at this machine's",
    10: "the certificate has expired: the receiver has to renew it",
    18: "the certificate is self-signed: give it as the endpoint's `ca`, or in TOCSIN_CA_FILE",
    19: "the certificate is of an unknown CA: give that CA as the endpoint's `ca`, or in TOCSIN_CA_FILE",
    20: "the certificate is of an unknown CA: give that CA as the endpoint's `ca`, or in TOCSIN_CA_FILE",
    21: "the certificate's chain is not whole: the receiver has to send the intermediate certificates too",
    23: "the certificate was revoked",
    62: "the certificate is for another host name",
    64: "the certificate is for another address",
}
_ALERTS = {
    "CERTIFICATE_REQUIRED": "the receiver asks for a client certificate: set `client_certificate` and `client_key`",
    "BAD_CERTIFICATE": "the receiver refused the client certificate",
    "UNSUPPORTED_CERTIFICATE": "the receiver refused the client certificate: of a kind that it does not take",
    "CERTIFICATE_REVOKED": "the receiver refused the client certificate: revoked",
    "CERTIFICATE_EXPIRED": "the receiver refused the client certificate: expired",
    "CERTIFICATE_UNKNOWN": "the receiver refused the client certificate",
    "UNKNOWN_CA": "the receiver refused the client certificate: its CA is unknown there",
    "ACCESS_DENIED": "the receiver refused the client certificate: not let in",
    "UNRECOGNIZED_NAME": "the receiver does not know this host name",
    "PROTOCOL_VERSION": "the receiver does not speak TLS 1.2 or newer",
    "UNSUPPORTED_PROTOCOL": "the receiver does not speak TLS 1.2 or newer",
    "HANDSHAKE_FAILURE": "the TLS handshake failed: no common cipher, or a client certificate is missing",
    "WRONG_VERSION_NUMBER": "the receiver does not speak TLS on this port",
    "HTTP_REQUEST": "the receiver does not speak TLS on this port",
}


def system_trust(ca_file: str = "") -> ssl.SSLContext:
    """The system's CAs, and those of the file (TOCSIN_CA_FILE). Raises Invalid where it cannot be used."""
    context = ssl.create_default_context()
    context.minimum_version = MINIMUM  # some builds of Python leave it to OpenSSL's own configuration
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:  # ssl.SSLError is one
            found = "no certificates" if isinstance(error, ssl.SSLError) else str(error.strerror)
            raise Invalid("TOCSIN_CA_FILE", f"{ca_file!r}: {found}", "a file of PEM certificates") from None
    return context


@lru_cache(maxsize=4)
def http_trust(ca_file: str = "") -> ssl.SSLContext:
    """The same for HTTP, made once: reading the system's CAs takes some 20 ms."""
    return _for_http(system_trust(ca_file))


@lru_cache(maxsize=4)
def mail_trust(ca_file: str = "") -> ssl.SSLContext:
    """The same for mail, made once."""
    return system_trust(ca_file)


def _for_http(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["http/1.1"])
    return context


class Contexts:
    """The contexts of endpoints that have certificates of their own, made once each. `standard` is everybody's."""

    def __init__(self, standard: ssl.SSLContext, ca_file: str = "") -> None:
        self._ca_file = ca_file
        self.standard = standard
        self.of = lru_cache(maxsize=CONTEXTS)(self._of)

    def _of(self, tls: Tls) -> ssl.SSLContext:
        """Raises Invalid for what is no certificate or no key. A `ca` is trusted in place of the system's."""
        if tls.ca:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = MINIMUM
            try:
                context.load_verify_locations(cadata=tls.ca)
            except (ssl.SSLError, ValueError):
                raise Invalid("settings.ca", "something else", "PEM certificates") from None
        else:
            context = system_trust(self._ca_file)
        if tls.certificate:
            with _file(tls.certificate + "\n" + tls.key) as path:
                try:
                    context.load_cert_chain(path, password=_no_password)
                except (OSError, ValueError):
                    expected = "a PEM certificate and its key, which is not encrypted"
                    raise Invalid("settings.client_certificate", "something else", expected) from None
        return _for_http(context)


def _no_password() -> str:
    """Without it OpenSSL would ask on the terminal."""
    return ""


@contextmanager
def _file(text: str) -> Iterator[str]:
    """A path to read this from, which only this process can and which is on no disk: OpenSSL takes nothing else."""
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("certificate")
        with os.fdopen(number, "w") as file:
            file.write(text)
            file.flush()
            yield f"/proc/self/fd/{number}"
    else:
        with tempfile.NamedTemporaryFile("w") as named:
            named.write(text)
            named.flush()
            yield named.name


def trouble(error: ssl.SSLError) -> str:
    """What went wrong with TLS, and what may help."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code, "the certificate was not accepted")
    reason = error.reason or ""
    for word, meaning in _ALERTS.items():
        if reason.endswith(word):
            return meaning
    return "the TLS handshake failed"
