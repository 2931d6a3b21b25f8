"""Receivers by the name in their address: `POST /v1/ingest/{kind}`."""

from tocsin.sources import github
from tocsin.sources.incoming import Source

SOURCES: dict[str, Source] = {source.kind: source for source in (github.SOURCE,)}
