"""Runs, and one with its stages, its log and its messages."""

from tocsin.web.dashboard.visit import Page

PAGES: tuple[Page, ...] = ()
