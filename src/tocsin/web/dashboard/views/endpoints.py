"""Endpoints: where messages go."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
