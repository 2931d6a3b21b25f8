"""Silences: what is kept back for a while."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
