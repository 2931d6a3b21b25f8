"""What could not be delivered, by its reason."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
