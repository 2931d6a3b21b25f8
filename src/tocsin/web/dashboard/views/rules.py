"""Rules: who hears of what."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
