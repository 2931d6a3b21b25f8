"""Flows, and starting them."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
