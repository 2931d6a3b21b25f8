"""`snakemake --logger tocsin`: Snakemake finds its plugins by the name of their package."""

from tocsin_client.hooks.snakemake import LogHandler, LogHandlerSettings

__all__ = ["LogHandler", "LogHandlerSettings"]
