import pytest

from kcpcache.kubectl.flags import Flag, UsageError, parse

FLAGS = (
    Flag("type", "text", "", short="t"),
    Flag("enter", "bool", "", short="e"),
    Flag("all", "bool", "", short="a"),
    Flag("claim", "list", ""),
    Flag("timeout", "duration", "", default=30.0),
)


@pytest.mark.parametrize(
    ("words", "values", "arguments"),
    [
        ([], {}, ()),
        (["one", "--enter", "two"], {"enter": True}, ("one", "two")),
        (["--type", "x", "--enter=false"], {"type": "x"}, ()),
        (["--type=a=b"], {"type": "a=b"}, ()),
        (["--type="], {"type": ""}, ()),
        (["-t", "x", "-"], {"type": "x"}, ("-",)),
        (["-tx"], {"type": "x"}, ()),
        (["-t=x"], {"type": "x"}, ()),
        (["-ea"], {"enter": True, "all": True}, ()),
        (["-eat", "x"], {"enter": True, "all": True, "type": "x"}, ()),
        (["-e=false", "-a=1"], {"all": True}, ()),
        (["--claim", "a.b,c.d", "--claim=e.f"], {"claim": ("a.b", "c.d", "e.f")}, ()),
        (["--timeout", "1m30s"], {"timeout": 90.0}, ()),
        (["--timeout", "1.5h"], {"timeout": 5400.0}, ()),
        (["--timeout", "250ms"], {"timeout": 0.25}, ()),
        (["--", "--enter", "-t"], {}, ("--enter", "-t")),
        (["--type", "--enter"], {"type": "--enter"}, ()),
    ],
)
def test_flags_are_taken_as_kubectl_takes_them(words, values, arguments):
    found = parse(FLAGS, words)
    assert found.values == {"type": "", "enter": False, "all": False, "claim": (), "timeout": 30.0} | values
    assert found.arguments == arguments


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["--ent"], "unknown flag: --ent"),
        (["-ex"], "unknown shorthand flag: 'x' in -ex"),
        (["--type"], "flag needs an argument: --type"),
        (["-t"], "flag needs an argument: -t, --type"),
        (["--enter=maybe"], 'invalid argument "maybe" for "--enter" flag'),
        (["--timeout", "30"], 'invalid argument "30" for "--timeout" flag'),
        (["--timeout", "5s later"], 'invalid argument "5s later" for "--timeout" flag'),
    ],
)
def test_what_is_no_flag_is_refused_in_kubectls_words(words, text):
    with pytest.raises(UsageError) as caught:
        parse(FLAGS, words)
    assert text in str(caught.value)


def test_what_follows_the_first_word_can_be_left_for_the_command_that_it_names():
    found = parse(FLAGS, ["-e", "create", "--nope", "x"], stop_at_first=True)
    assert found.values["enter"]
    assert found.arguments == ("create", "--nope", "x")
