"""The review kinds as the HTTP layer asks for them: answered from authentication and authorization, never stored."""

from typing import Any

from kcpcache.api.paths import RequestInfo
from kcpcache.auth import review
from kcpcache.auth.authenticate import Authenticator, Credentials
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.service_accounts import ServiceAccountTokens
from kcpcache.auth.user import User, with_standard_group
from kcpcache.meta.errors import BadRequestError, UnauthorizedError, method_not_allowed
from kcpcache.meta.objects import Object, nested


class ReviewService:
    """See ``api.services.Reviews``."""

    def __init__(self, authorizer: Authorizer, authenticator: Authenticator, accounts: ServiceAccountTokens) -> None:
        self._authorizer, self._authenticator, self._accounts = authorizer, authenticator, accounts

    async def review(self, info: RequestInfo, obj: Object, user: User, cluster: str) -> Object:
        """The review with its status. Raises InvalidError, BadRequestError, NotFoundError, MethodNotAllowedError."""
        judge = self._authorizer
        match (info.group, info.resource, info.subresource):
            case ("authorization.k8s.io", "subjectaccessreviews", ""):
                return review.review_subject_access(obj, cluster, judge)
            case ("authorization.k8s.io", "localsubjectaccessreviews", ""):
                return review.review_local_subject_access(obj, cluster, judge)
            case ("authorization.k8s.io", "selfsubjectaccessreviews", ""):
                return review.review_self_subject_access(obj, user, cluster, judge)
            case ("authorization.k8s.io", "selfsubjectrulesreviews", ""):
                return review.review_self_subject_rules(obj, user, cluster, judge)
            case ("authentication.k8s.io", "selfsubjectreviews", ""):
                return review.review_self_subject(obj, user)
            case ("authentication.k8s.io", "tokenreviews", ""):
                return {**obj, "status": await self._token_status(obj)}
            case ("", "serviceaccounts", "token"):
                return self._accounts.issue(obj, cluster, info.namespace, info.name)
            case _:
                raise method_not_allowed(info.group, info.resource, "create")

    async def _token_status(self, obj: Object) -> Object:
        """Whose token it is, and for which of the wanted audiences it is good."""
        token = nested(obj, "spec", "token")
        if not isinstance(token, str) or not token:
            raise BadRequestError("token is required for TokenReview in authentication")
        wanted: list[Any] = nested(obj, "spec", "audiences", default=None) or []
        try:
            claims = self._accounts.verify(token)
            if claims is not None:
                found = with_standard_group(self._accounts.user_of(claims))
                good = [audience for audience in (wanted or [self._accounts.issuer]) if audience in claims["aud"]]
            else:
                found = await self._authenticator.authenticate(Credentials(authorization=f"Bearer {token}"))
                good = [audience for audience in wanted if audience == self._accounts.issuer] if wanted else []
        except UnauthorizedError:
            return {"authenticated": False, "error": "invalid bearer token"}
        if not good and (wanted or claims is not None):
            return {"authenticated": False, "error": "the token is not for any of the wanted audiences"}
        status: Object = {"authenticated": True, "user": found.to_user_info()}
        return status | {"audiences": good} if good else status
