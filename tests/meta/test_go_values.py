import pytest

from kcpcache.meta.go_values import go_value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (["a", 'b"'], '[]string{"a", "b\\""}'),
        ([], "[]string{}"),
        ([1, "a", ["b"]], '[]interface {}{1, "a", []interface {}{"b"}}'),
        ({"b": [1], "a": None}, 'map[string]interface {}{"a":interface {}(nil), "b":[]interface {}{1}}'),
        (True, "true"),
        (1.5, "1.5"),
        (2**70, str(2**70)),
        ("\ud800", '"?"'),
    ],
)
def test_values_are_shown_as_go_prints_them(value, shown):
    assert go_value(value) == shown
