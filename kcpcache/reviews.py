"""The review kinds as the HTTP layer asks for them: answered from authentication and authorization, never stored."""

from kcpcache.api.paths import RequestInfo
from kcpcache.auth import review
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.user import User
from kcpcache.meta.errors import method_not_allowed
from kcpcache.meta.objects import Object


class ReviewService:
    """See ``api.services.Reviews``."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def review(self, info: RequestInfo, obj: Object, user: User, cluster: str) -> Object:
        """The review with its status. Raises InvalidError, BadRequestError, MethodNotAllowedError."""
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
            case _:
                raise method_not_allowed(info.group, info.resource, "create")
