"""Tocsin: a self-hosted alarm bell for pipelines, workflows and machine-learning runs."""

__version__ = "0.1.0"
