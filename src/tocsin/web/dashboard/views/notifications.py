"""What I want to hear of, and my inbox."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
