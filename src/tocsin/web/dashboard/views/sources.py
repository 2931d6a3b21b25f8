"""Sources: where events come from, and how to connect each."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
