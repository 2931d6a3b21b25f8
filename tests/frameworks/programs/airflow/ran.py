"""The DAG, as Airflow runs it for a test."""

from pipeline import dag

dag.test()
