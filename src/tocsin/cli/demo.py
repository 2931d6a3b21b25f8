"""`tocsin demo`."""


def demo() -> None:
    """placeholder"""
