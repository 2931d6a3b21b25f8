"""Receivers by the name in their address: `POST /v1/ingest/{kind}`."""

from tocsin.sources import airflow, alertmanager, dbt_cloud, github, gitlab, mlflow, openlineage
from tocsin.sources.incoming import Source

ALL = (
    airflow.SOURCE,
    alertmanager.SOURCE,
    dbt_cloud.SOURCE,
    github.SOURCE,
    gitlab.SOURCE,
    mlflow.SOURCE,
    openlineage.SOURCE,
)
SOURCES: dict[str, Source] = {source.kind: source for source in ALL}
