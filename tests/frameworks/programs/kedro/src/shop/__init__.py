"""A project of Kedro's."""
