"""How this tenant, and this Tocsin, are set up."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
