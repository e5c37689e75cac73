import pytest

from kcpcache.auth.tokens import TokenFileError, load_static_tokens
from kcpcache.auth.user import User


def write(tmp_path, text):
    path = tmp_path / "tokens.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("line", "user"),
    [
        ("secret,alice,7", User("alice", "7")),
        ("secret,alice,", User("alice")),
        ('secret,alice,7,"g1,g2"', User("alice", "7", ("g1", "g2"))),
        ("secret,alice,7,g1", User("alice", "7", ("g1",))),
        ('secret, alice, 7, "g1, g2,,g1"', User("alice", "7", ("g1", "g2"))),
        ("secret,alice,7,", User("alice", "7")),
        ("\n\nsecret,alice,7\r\n", User("alice", "7")),
    ],
)
async def test_a_line_is_a_token_with_its_user(tmp_path, line, user):
    tokens = load_static_tokens(write(tmp_path, line))
    assert (await tokens("secret")).user == user


async def test_other_tokens_are_nobodys(tmp_path):
    tokens = load_static_tokens(write(tmp_path, "secret,alice,7\nother,bob,8\n"))
    assert (await tokens("other")).user.name == "bob"
    for token in ("", "Secret", "secret ", "secretx", "\udc80"):
        assert await tokens(token) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,alice,1\nsecret,bob", "line 2: needs at least three columns"),
        ("a,alice,1\n\nsecret,bob,2,g1,g2", "line 3: has more than four columns; several groups go in quotes"),
        (",alice,1", "line 1: the token is empty"),
        ("secret,,1", "line 1: the user is empty"),
        ("secret,alice,1\nsecret,bob,2", "line 2: this token stands in the file already"),
        ('secret,"alice', "line 1: "),
        (b"secret,\xff,1", "it is not UTF-8"),
    ],
)
def test_a_wrong_line_is_named_and_no_token_shown(tmp_path, text, message):
    with pytest.raises(TokenFileError) as caught:
        load_static_tokens(write(tmp_path, text))
    assert message in str(caught.value)
    assert "tokens.csv" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TokenFileError, match=r"none\.csv: No such file"):
        load_static_tokens(tmp_path / "none.csv")
