"""Tells Tocsin what a pipeline does, without ever getting in its way: no exception, no waiting, nothing lost.

from tocsin_client import Tocsin

tocsin = Tocsin()  # TOCSIN_URL, TOCSIN_TOKEN
with tocsin.run("etl/orders"):
    ...
"""

from tocsin_client.client import Tocsin, shared
from tocsin_client.runs import Run, Stage

__all__ = ["Run", "Stage", "Tocsin", "shared"]
__version__ = "0.1.0"
