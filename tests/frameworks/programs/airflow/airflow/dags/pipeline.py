"""A DAG that knows nothing of Tocsin."""

from airflow.sdk import DAG, task
from orders import load

with DAG("orders", default_args={"retries": 1}) as dag:

    @task
    def load_orders() -> None:
        load()

    load_orders()
