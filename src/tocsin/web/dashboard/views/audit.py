"""Who changed what."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
