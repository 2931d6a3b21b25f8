"""Bearer tokens of a platform that has its own: JSON Web Tokens, by issuer, audience and key."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tocsin.app import App
from tocsin.model.access import RANKS, ROLES, SCOPES_OF, lower
from tocsin.model.errors import Forbidden, NotFound, Unauthorised
from tocsin.model.ids import DEFAULT_TENANT
from tocsin.settings import Settings, SettingsError
from tocsin.store import accounts, identity
from tocsin.web.auth import Principal
from tocsin.web.jwks import ALGORITHMS, KeySet, check_claims, claim, header_of, mapped, parse_map, signed_claims


class JwtBearer:
    """Made where TOCSIN_JWT_ISSUER is set. Raises SettingsError."""

    def __init__(self, app: App) -> None:
        settings = app.settings
        self.app = app
        self.settings = settings
        self.roles = roles_of(settings)
        self.fixed = public_key(settings)
        self.keys = KeySet(app, self._url)

    async def _url(self) -> str:
        return self.settings.jwt_jwks_url

    async def principal(self, token: str) -> Principal:
        """Raises Unauthorised, Forbidden for a suspended tenant, and Busy where the keys cannot be fetched."""
        header = header_of(token)
        algorithm = header["alg"]
        if self.fixed is None:
            claims = signed_claims(token, await self.keys.key(header.get("kid"), algorithm), algorithm)
        else:
            key, algorithms = self.fixed
            if algorithm not in algorithms:
                raise Unauthorised("The token's algorithm does not fit its key.")
            claims = signed_claims(token, key, algorithm)
        settings = self.settings
        now_s = self.app.clock_ms() / 1000
        check_claims(claims, issuer=settings.jwt_issuer, audience=settings.jwt_audience, now_s=now_s)
        return await self._principal_of(claims)

    async def _principal_of(self, claims: dict[str, Any]) -> Principal:
        settings = self.settings
        users = claim(claims, settings.jwt_user_claim)
        if len(users) != 1 or not users[0] or len(users[0]) > 200 or "\x00" in users[0]:
            raise Unauthorised(f"The token does not say whose it is (claim {settings.jwt_user_claim}).")
        roles = mapped(claim(claims, settings.jwt_role_claim), self.roles)
        if not roles:
            raise Unauthorised(f"The token gives no role here (claim {settings.jwt_role_claim}).")
        tenants = claim(claims, settings.jwt_tenant_claim) if settings.jwt_tenant_claim else (DEFAULT_TENANT,)
        if len(tenants) != 1 or "\x00" in tenants[0]:
            raise Unauthorised(f"The token does not say one tenant (claim {settings.jwt_tenant_claim}).")
        try:
            tenant = await identity.get_tenant(self.app.db, tenants[0])
        except NotFound:
            raise Unauthorised("The token is for a tenant that does not exist.") from None
        if tenant.suspended_ms is not None:
            raise Forbidden("The tenant is suspended. Who runs this Tocsin can say why.")
        role = max(roles, key=lambda role: RANKS[role])
        member = await accounts.member_role(self.app.db, tenant.id, users[0])
        if member is not None:
            if member.removed:
                raise Unauthorised("Whose token this is, is no member of the tenant any more.")
            role = lower(role, member.role)
        jti = claims.get("jti")
        return Principal(
            tenant_id=tenant.id,
            token_id=f"jwt:{jti[:80]}" if isinstance(jti, str) and jti.isprintable() else "jwt",
            user_id=users[0],
            role=role,
            scopes=frozenset(SCOPES_OF[role]),
            expires_ms=int(claims["exp"] * 1000),
        )


def roles_of(settings: Settings) -> dict[str, str]:
    """Their roles to ours. Raises SettingsError for settings that cannot be."""
    if not settings.jwt_audience:
        raise SettingsError('TOCSIN_JWT_AUDIENCE="": tokens of TOCSIN_JWT_ISSUER have to be for Tocsin alone.')
    if bool(settings.jwt_jwks_url) == bool(settings.jwt_public_key):
        raise SettingsError("TOCSIN_JWT_ISSUER needs either TOCSIN_JWT_JWKS_URL or TOCSIN_JWT_PUBLIC_KEY.")
    own = dict(zip(ROLES, ROLES, strict=True))
    return parse_map("TOCSIN_JWT_ROLE_MAP", settings.jwt_role_map, tuple(ROLES)) or own


def public_key(settings: Settings) -> tuple[Any, tuple[str, ...]] | None:
    """The one key of the settings, and which algorithms it is for. Raises SettingsError."""
    if not settings.jwt_public_key:
        return None
    try:
        key = load_pem_public_key(settings.jwt_public_key.replace("\\n", "\n").encode())
    except ValueError as error:
        raise SettingsError("TOCSIN_JWT_PUBLIC_KEY: expected a public key in PEM.") from error
    if isinstance(key, rsa.RSAPublicKey):
        return key, tuple(name for name in ALGORITHMS if name[:2] in ("RS", "PS"))
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES:
        return key, (CURVES[key.curve.name],)
    if isinstance(key, Ed25519PublicKey):
        return key, ("EdDSA",)
    raise SettingsError("TOCSIN_JWT_PUBLIC_KEY: expected a key for RSA, ECDSA (P-256, P-384, P-521) or Ed25519.")


CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
