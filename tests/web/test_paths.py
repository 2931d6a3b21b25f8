"""Paths that try to leave. S28 of the security matrix: no route reads a file that a request names."""

import asyncio

import pytest

from tests.harness import Running

pytestmark = pytest.mark.anyio

OUT = (
    "/../../../../etc/passwd",
    "/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/..;/..;/etc/passwd",
    "/..\\..\\..\\etc\\passwd",
    "/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
    "//etc/passwd",
    "/%2fetc%2fpasswd",
    "/x%00.css",
)
UNDER = ("", "/static", "/assets", "/v1/webhooks", "/v1/pipelines", "/v1/deliveries", "/v1/runs", "/v1/secrets")


async def test_no_path_leads_to_a_file(tocsin: Running) -> None:
    port = int(tocsin.client.base.rpartition(":")[2])
    for token in (tocsin.client.token, ""):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for under in UNDER:
            for out in OUT:  # as they stand: a client's library would tidy them up first
                head = f"GET {under}{out} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"
                writer.write(head.encode())
                said = await reader.readuntil(b"\r\n\r\n")
                length = int(said.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                said += await reader.readexactly(length)
                assert int(said.split(b" ", 2)[1]) in (400, 401, 404, 405), (under, out, said)
                assert b"root:" not in said
                assert b"Traceback" not in said
        writer.close()
