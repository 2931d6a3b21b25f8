"""Its only pipeline."""

from kedro.pipeline import Pipeline, node, pipeline
from orders import load


def register_pipelines() -> dict[str, Pipeline]:
    return {"__default__": pipeline([node(load, inputs=None, outputs="rows", name="load")])}
