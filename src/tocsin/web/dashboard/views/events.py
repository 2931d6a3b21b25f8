"""Events, and why somebody was told of one or not."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
