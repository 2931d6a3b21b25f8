"""`tocsin doctor`."""


def doctor() -> None:
    """placeholder"""
