"""ServiceAccount tokens: signed by this server, good for one account of one workspace, as long as that lives.

Claims are Kubernetes' (``kubernetes.io`` with namespace and serviceaccount), and ``clusterName`` as in kcp.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kcpcache.auth.certificates import CertificateError
from kcpcache.auth.tokens import TokenAnswer, token_digest
from kcpcache.auth.user import CLUSTER_NAME_EXTRA, SERVICE_ACCOUNT_PREFIX, User, service_account_groups
from kcpcache.meta.audit_annotations import annotate
from kcpcache.meta.errors import (
    BadRequestError,
    InvalidError,
    UnauthorizedError,
    conflict,
    field_invalid,
    not_found,
)
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, copy, metadata, name_of, namespace_of, new_uid, timestamp
from kcpcache.private_files import write_atomically
from kcpcache.registry.builtin.rules.reviews import TOKEN_REQUEST
from kcpcache.registry.entry import Entry
from kcpcache.registry.lookup import Lookup

SERVICE_ACCOUNTS = GroupVersionResource("", "v1", "serviceaccounts")
SECRETS = GroupVersionResource("", "v1", "secrets")
CREDENTIAL_ID_EXTRA = "authentication.kubernetes.io/credential-id"
_GROUP, _KIND = "authentication.k8s.io", "TokenRequest"
_ALGORITHM = "ES256"
_ISSUED = "authentication.kubernetes.io/issued-credential-id"
_PRIVATE = "kubernetes.io"
_REMEMBERED = 4096
_LONGEST_REMEMBERED = 8 * 1024
_LONGEST_SECONDS = 365 * 24 * 3600
_DELETED_LEEWAY_SECONDS = 60


def ensure_signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key in the file, made on first use; never overwritten. Raises CertificateError."""
    try:
        if path.exists():
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
            if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
                return key
            raise CertificateError(f"{path} does not hold a P-256 key: restore it, or remove it to revoke all tokens")
        key = ec.generate_private_key(ec.SECP256R1())
        write_atomically(path, _pem(key))
    except (OSError, ValueError) as error:
        raise CertificateError(f"cannot use the signing key {path}: {error}") from None
    return key


class ServiceAccountTokens:
    """Issues tokens, and is a link in the chain of authenticators. Used on the event loop.

    That a token was signed here is remembered for 4,096 tokens of up to 8 KiB; whether its account still lives is asked
    every time.
    """

    def __init__(
        self,
        lookup: Lookup,
        key: ec.EllipticCurvePrivateKey,
        issuer: str,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lookup, self._pem, self.issuer, self._clock = lookup, _pem(key), issuer, clock
        self._key: Any = None
        self._verified: OrderedDict[bytes, Object] = OrderedDict()

    # -- issuing

    def issue(self, request: Object, cluster: str, namespace: str, name: str) -> Object:
        """The answer to a TokenRequest for an account.

        Raises NotFoundError, InvalidError, BadRequestError, ConflictError. A token lives for a year at most.
        """
        from joserfc import jwt

        _check_place(request, namespace, name)
        account = self._lookup.entry(SERVICE_ACCOUNTS, cluster, name, namespace)
        if account is None:
            raise not_found("", "serviceaccounts", name)
        _check_uid(request, name, account.uid)
        answer = copy(request)
        TOKEN_REQUEST.default(answer)
        errors = TOKEN_REQUEST.validate(answer)
        if errors:
            raise InvalidError(_GROUP, _KIND, name, errors)
        spec = answer["spec"]
        now = int(self._clock())
        spec["expirationSeconds"] = min(int(spec["expirationSeconds"]), _LONGEST_SECONDS)
        expires = now + spec["expirationSeconds"]
        private: Object = {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": account.uid},
            "clusterName": cluster,
        }
        if spec.get("boundObjectRef"):
            private["secret"] = self._bound_secret(spec["boundObjectRef"], cluster, namespace)
        spec["audiences"] = spec.get("audiences") or [self.issuer]
        claims = {
            "iss": self.issuer,
            "sub": f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}",
            "aud": spec["audiences"],
            "iat": now,
            "nbf": now,
            "exp": expires,
            "jti": new_uid(),
            _PRIVATE: private,
        }
        annotate(_ISSUED, f"JTI={claims['jti']}")
        token = jwt.encode({"alg": _ALGORITHM}, claims, self._signing_key())
        meta = {"name": name, "namespace": namespace, "creationTimestamp": timestamp(datetime.fromtimestamp(now, UTC))}
        status = {"token": token, "expirationTimestamp": timestamp(datetime.fromtimestamp(expires, UTC))}
        return {**answer, "metadata": {**metadata(answer), **meta}, "status": status}

    def _bound_secret(self, reference: Object, cluster: str, namespace: str) -> Object:
        """The Secret with which the token ends. Raises BadRequestError, NotFoundError, ConflictError."""
        if (reference.get("kind"), reference.get("apiVersion")) != ("Secret", "v1"):
            what = f"{reference.get('apiVersion')}, Kind={reference.get('kind')}"
            why = "only a v1 Secret can be bound, as there are no Pods or Nodes in a workspace"
            raise BadRequestError(f"cannot bind token to object of type {what}: {why}")
        name = str(reference.get("name") or "")
        secret = self._lookup.entry(SECRETS, cluster, name, namespace)
        if secret is None:
            raise not_found("", "secrets", name)
        if reference.get("uid") and reference["uid"] != secret.uid:
            why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record"
            raise conflict("", "secrets", name, why)
        return {"name": name, "uid": secret.uid}

    # -- authenticating

    async def __call__(self, token: str) -> TokenAnswer | None:
        """The account; None where the token is no JWT of ours. Raises UnauthorizedError for one that is not good."""
        claims = self.verify(token)
        if claims is None:
            return None
        if self.issuer not in claims["aud"]:
            raise UnauthorizedError
        return TokenAnswer(self.user_of(claims), cache_seconds=0)

    def verify(self, token: str) -> Object | None:
        """The claims of a token that was signed here and has not expired; None where it was not signed here."""
        digest = token_digest(token)
        claims = self._verified.get(digest)
        if claims is None:
            claims = self._decode(token)
            if claims is None:
                return None
            if len(self._verified) >= _REMEMBERED:
                self._verified.popitem(last=False)
            if len(token) <= _LONGEST_REMEMBERED:
                self._verified[digest] = claims
        if not claims["nbf"] <= self._clock() + 1 or claims["exp"] <= self._clock():
            raise UnauthorizedError
        return claims

    def _decode(self, token: str) -> Object | None:
        from joserfc import jwt
        from joserfc.errors import JoseError

        if token.count(".") != 2:  # noqa: PLR2004 -- a JWT has three parts
            return None
        try:
            claims: Object = dict(jwt.decode(token, self._signing_key(), algorithms=[_ALGORITHM]).claims)
        except (JoseError, ValueError):
            return None
        return claims if claims.get("iss") == self.issuer else None

    def user_of(self, claims: Object) -> User:
        """The account that the claims speak of. Raises UnauthorizedError where it, or what binds it, is gone."""
        private = claims[_PRIVATE]
        cluster, namespace = private["clusterName"], private["namespace"]
        account = private["serviceaccount"]
        self._require_alive(self._lookup.entry(SERVICE_ACCOUNTS, cluster, account["name"], namespace), account["uid"])
        secret = private.get("secret")
        if secret is not None:
            self._require_alive(self._lookup.entry(SECRETS, cluster, secret["name"], namespace), secret["uid"])
        extra = {CLUSTER_NAME_EXTRA: (cluster,), CREDENTIAL_ID_EXTRA: (f"JTI={claims['jti']}",)}
        return User(claims["sub"], account["uid"], service_account_groups(namespace), extra)

    def _require_alive(self, entry: Entry | None, uid: str) -> None:
        """What is being deleted counts for another minute (as in kube), a namesake made later at no time."""
        if entry is None or entry.uid != uid:
            raise UnauthorizedError
        if entry.deleting:
            deleted = datetime.fromisoformat(entry.object()["metadata"]["deletionTimestamp"])
            if self._clock() - deleted.timestamp() > _DELETED_LEEWAY_SECONDS:
                raise UnauthorizedError

    def _signing_key(self) -> Any:
        if self._key is None:
            from joserfc.jwk import ECKey

            self._key = ECKey.import_key(self._pem)
        return self._key


def _check_place(request: Object, namespace: str, name: str) -> None:
    """Raises InvalidError where the request names another account than the URL."""
    for field, given, wanted, what in (
        ("name", name_of(request), name, "the service account name"),
        ("namespace", namespace_of(request), namespace, "the service account namespace"),
    ):
        if given not in {"", wanted}:
            error = field_invalid(f"metadata.{field}", given, f"must match {what} if specified")
            raise InvalidError(_GROUP, _KIND, name, [error])


def _check_uid(request: Object, name: str, uid: str) -> None:
    """Raises ConflictError where the request is for an account that was there before."""
    given = metadata(request).get("uid")
    if given and given != uid:
        why = f"the UID in the token request ({given}) does not match the UID of the service account ({uid})"
        raise conflict(_GROUP, _KIND, name, why)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
