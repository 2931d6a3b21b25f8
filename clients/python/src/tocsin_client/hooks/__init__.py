"""A file for each framework. Each imports its framework only when it is itself imported."""
