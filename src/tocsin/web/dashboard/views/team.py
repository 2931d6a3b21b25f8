"""Members and tokens."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
