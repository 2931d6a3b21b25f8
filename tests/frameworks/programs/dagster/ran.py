"""The job, and what Dagster's daemon would do after it: each sensor is asked about the run."""

import dagster
from pipeline import definitions, orders

SENSORS = {sensor.name: sensor for sensor in definitions.sensors}
EVENTS = {
    "PIPELINE_START": "tocsin_started",
    "PIPELINE_SUCCESS": "tocsin_succeeded",
    "PIPELINE_FAILURE": "tocsin_failed",
}

with dagster.DagsterInstance.ephemeral() as instance:
    done = orders.execute_in_process(instance=instance, raise_on_error=False)
    for event in done.all_events:
        if (name := EVENTS.get(event.event_type_value)) is not None:
            SENSORS[name](dagster.build_run_status_sensor_context(name, event, instance, done.dagster_run))
