"""Types of ``authentication.k8s.io/v1``: who is it, and tokens."""

from functools import partial

from kcpcache.registry.builtin.meta import object_type
from kcpcache.registry.builtin.types import ListOf, MapOf, Scalar, package, row

_authn = package("io.k8s.api.authentication.v1")
_object = partial(object_type, "io.k8s.api.authentication.v1", "authentication.k8s.io/v1")
_S = Scalar.STRING

USER_INFO = _authn(
    "UserInfo",
    "A user as the server knows him.",
    row("username", 1, _S, "Name, unique among active users."),
    row("uid", 2, _S, "Identity that is never used twice."),
    row("groups", 3, ListOf(_S), "Groups of the user."),
    row("extra", 4, MapOf(Scalar.STRING_ITEMS), "Further attributes."),
)

TOKEN_REVIEW = _object(
    "TokenReview",
    "Asks whose token it is.",
    row(
        "spec",
        2,
        _authn(
            "TokenReviewSpec",
            "The token.",
            row("token", 1, _S, "The bearer token."),
            row("audiences", 2, ListOf(_S), "Audiences of which the token must have one."),
        ),
        "The question.",
        required=True,
    ),
    row(
        "status",
        3,
        _authn(
            "TokenReviewStatus",
            "The answer.",
            row("authenticated", 1, Scalar.BOOL, "Whether the token is good."),
            row("user", 2, USER_INFO, "Whose it is."),
            row("audiences", 4, ListOf(_S), "Audiences of both the token and the question."),
            row("error", 3, _S, "Why the token could not be checked."),
        ),
        "The answer; set by the server.",
    ),
)

BOUND_OBJECT_REFERENCE = _authn(
    "BoundObjectReference",
    "An object with which a token ends.",
    row("kind", 1, _S, "Kind: Pod or Secret."),
    row("apiVersion", 2, _S, "API version of the object."),
    row("name", 3, _S, "Name of the object."),
    row("uid", 4, _S, "UID of the object."),
)

TOKEN_REQUEST = _object(
    "TokenRequest",
    "Asks for a token of a service account.",
    row(
        "spec",
        2,
        _authn(
            "TokenRequestSpec",
            "What the token must be good for.",
            row("audiences", 1, ListOf(_S), "Audiences of the token; by default the server itself.", required=True),
            row("expirationSeconds", 4, Scalar.INT64, "Wanted lifetime in seconds.", pointer=True),
            row("boundObjectRef", 3, BOUND_OBJECT_REFERENCE, "Object with which the token ends.", pointer=True),
        ),
        "The question.",
        required=True,
    ),
    row(
        "status",
        3,
        _authn(
            "TokenRequestStatus",
            "The token.",
            row("token", 1, _S, "The token.", required=True),
            row("expirationTimestamp", 2, Scalar.TIME, "When it expires.", required=True),
        ),
        "The answer; set by the server.",
    ),
)

SELF_SUBJECT_REVIEW = _object(
    "SelfSubjectReview",
    "Asks who the caller is.",
    row(
        "status",
        2,
        _authn(
            "SelfSubjectReviewStatus",
            "The answer.",
            row("userInfo", 1, USER_INFO, "The caller."),
        ),
        "The answer; set by the server.",
    ),
)
