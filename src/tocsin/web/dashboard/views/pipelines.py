"""Pipelines, and who is told of each."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
