"""`tocsin setup-link`: the way in where nobody has an account yet."""

from tocsin.cli.output import fail


def setup_link() -> None:
    """Print a link that makes the first account. It works once, for 24 hours.

    Run this where the server runs, with its settings. Whoever opens the link runs this Tocsin from then on.

    Example: tocsin setup-link
    """
    from tocsin.app import App
    from tocsin.cli.opening import run_with_store
    from tocsin.store import accounts
    from tocsin.web import people

    async def make(app: App) -> str:
        return "" if await accounts.any_account(app.db) else await people.setup_link(app)

    link = run_with_store(make)
    if not link:
        fail("Tocsin is set up already. `tocsin sign-in-link` lets somebody set a new password.", 1)
    print(link)
