"""Receivers by the name in their address: `POST /v1/ingest/{kind}`."""

from tocsin.sources import (
    airflow,
    alertmanager,
    azuredevops,
    cdevents,
    cloudevents,
    dbt_cloud,
    eventbridge,
    github,
    gitlab,
    mapping,
    mlflow,
    nextflow,
    openlineage,
    ping,
    prefect,
    tekton,
)
from tocsin.sources.incoming import Source

ALL = (
    airflow.SOURCE,
    alertmanager.SOURCE,
    azuredevops.SOURCE,
    cdevents.SOURCE,
    cloudevents.SOURCE,
    dbt_cloud.SOURCE,
    eventbridge.SOURCE,
    github.SOURCE,
    gitlab.SOURCE,
    mapping.SOURCE,
    mlflow.SOURCE,
    nextflow.SOURCE,
    openlineage.SOURCE,
    ping.SOURCE,
    prefect.SOURCE,
    tekton.SOURCE,
)
SOURCES: dict[str, Source] = {source.kind: source for source in ALL}
