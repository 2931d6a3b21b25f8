"""Where what somebody typed leads to."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
