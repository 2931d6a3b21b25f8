"""`tocsin sign-in-link`: for somebody who cannot sign in, the operator among them."""

from typing import Annotated

import typer

from tocsin.cli.output import fail


def sign_in_link(
    email: Annotated[str, typer.Argument(help="The address that they sign in with.")],
    user: Annotated[str, typer.Option(help="The member whose account this is to be, where they have none yet.")] = "",
) -> None:
    """Print a link with which somebody sets a password. It works once, for 24 hours.

    Run this where the server runs, with its settings.

    \b
    Examples:
      tocsin sign-in-link mia@example.com
      tocsin sign-in-link mia@example.com --user mia
    """
    from tocsin.app import App
    from tocsin.cli.opening import command_line, run_with_store
    from tocsin.model.audit import Act
    from tocsin.model.ids import OPERATOR_TENANT
    from tocsin.store import accounts
    from tocsin.store.accounts import Link
    from tocsin.web.people import link_in
    from tocsin.web.sign_in import normal_email

    async def make(app: App) -> str:
        address = normal_email(email)
        known = await accounts.by_email(app.db, address)
        if known is None and not user:
            return ""
        link = Link(known.user_id, address, known.name) if known else Link(user, address, "")
        async with app.db.transaction() as tx:
            await accounts.fill_member_email(tx, link.user_id, address)
            made = await link_in(tx, app, "password", link)
            act = Act(OPERATOR_TENANT, command_line(), "account.sign_in_link", "account", link.user_id)
            await app.trail.add(tx, act)
        return made

    link = run_with_store(make)
    if not link:
        fail(f"No account has the address {email}. With --user, one is made for that member.", 1)
    print(link)
