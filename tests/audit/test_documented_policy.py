"""The policy of the how-to page is one, and does what the page says of it."""

import re
from pathlib import Path

import pytest

from kcpcache.audit.policy import Level, parse_policy
from kcpcache.auth.attributes import Attributes
from kcpcache.auth.user import User

PAGE = Path(__file__).parents[2] / "docs/how-to/encrypt-and-audit.md"


@pytest.mark.parametrize(
    ("asked", "level"),
    [
        ({"verb": "get", "path": "/openapi/v3", "is_resource": False}, Level.NONE),
        ({"verb": "create", "resource": "secrets"}, Level.METADATA),
        ({"verb": "create", "resource": "serviceaccounts", "subresource": "token"}, Level.METADATA),
        ({"verb": "list", "resource": "namespaces"}, Level.METADATA),
        ({"verb": "create", "resource": "namespaces"}, Level.REQUEST_RESPONSE),
    ],
)
def test_the_documented_policy_keeps_secrets_out(asked, level):
    found = re.search(r"^cat > \S+audit-policy\.yaml <<EOF\n(.*?)^EOF$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    policy = parse_policy(found[1].encode())
    assert policy.ruling(Attributes(user=User("a"), cluster="root", **asked)).level is level
