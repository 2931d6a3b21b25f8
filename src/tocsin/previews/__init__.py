"""What a provider would show, as HTML: one file each. Hostile text is escaped; no script, nothing is loaded."""
