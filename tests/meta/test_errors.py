import orjson
import pytest

from kcpcache.meta import errors
from kcpcache.meta.errors import (
    ExpiredError,
    InvalidError,
    StatusCause,
    StatusError,
    TimeoutStatusError,
    field_duplicate,
    field_forbidden,
    field_invalid,
    field_not_found,
    field_not_supported,
    field_required,
    field_too_long,
    field_too_many,
    field_type_invalid,
)

CLASSES = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, StatusError)]


def made(kind):
    if kind is InvalidError:
        return InvalidError("example.com", "Thing", "x", [field_required("spec.a")])
    return kind("why")


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_a_well_formed_status(kind):
    status = made(kind).status()
    assert {key: status[key] for key in ("kind", "apiVersion", "status", "metadata")} == {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "metadata": {},
    }
    assert 400 <= status["code"] < 600
    assert status["reason"] or status["code"] == 431, "HTTP servers answer that one, and Kubernetes has no name for it"
    assert status["message"]
    assert orjson.loads(orjson.dumps(status)) == status


def test_every_error_of_the_tree_has_its_own_code_and_reason():
    own = {(kind.code, kind.reason) for kind in CLASSES if kind is not StatusError}
    assert len(own) == len(CLASSES) - 1


def test_details_name_the_object_and_leave_out_what_is_empty():
    status = errors.not_found("example.com", "things", "x").status()
    assert status["message"] == 'things.example.com "x" not found'
    assert status["details"] == {"name": "x", "group": "example.com", "kind": "things"}
    assert "details" not in errors.path_not_found().status()


def test_messages_are_those_that_clients_know():
    assert errors.already_exists("", "configmaps", "x").message == 'configmaps "x" already exists'
    assert errors.conflict("", "configmaps", "x").message == (
        'Operation cannot be fulfilled on configmaps "x": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert errors.forbidden("g", "r", "", "no").message == "r.g is forbidden: no"
    assert errors.forbidden("g", "r", "x", "no").message == 'r.g "x" is forbidden: no'
    assert errors.method_not_allowed("g", "r", "create").message == 'create is not supported on resources of kind "r.g"'


def test_an_invalid_object_has_a_cause_for_each_field():
    error = InvalidError("g", "Thing", "x", [field_required("a"), field_invalid("b", 1, "no")])
    assert error.message == 'Thing.g "x" is invalid: [a: Required value, b: Invalid value: 1: no]'
    assert error.status()["details"]["causes"] == [
        {"reason": "FieldValueRequired", "message": "Required value", "field": "a"},
        {"reason": "FieldValueInvalid", "message": "Invalid value: 1: no", "field": "b"},
    ]
    assert InvalidError("", "Thing", "x", [field_required("a")]).message == 'Thing "x" is invalid: a: Required value'


def test_the_same_message_is_said_once():
    error = InvalidError("", "Thing", "x", [field_required("a"), field_required("a")])
    assert error.message == 'Thing "x" is invalid: a: Required value'


def test_an_expired_list_hands_out_a_fresh_token():
    assert ExpiredError("old", continue_token="t").status()["metadata"] == {"continue": "t"}


def test_who_may_try_again_is_told_when():
    error = TimeoutStatusError("late", causes=[StatusCause("X", "x")], retry_after_seconds=1)
    assert error.headers() == {"Retry-After": "1"}
    assert error.status()["details"] == {"causes": [{"reason": "X", "message": "x"}], "retryAfterSeconds": 1}
    assert errors.BadRequestError("no").headers() == {}


@pytest.mark.parametrize(
    ("error", "message", "reason"),
    [
        (field_invalid("a", 'x"y', "no"), 'a: Invalid value: "x\\"y": no', "FieldValueInvalid"),
        (field_invalid("", None, "no"), "Invalid value: null: no", "FieldValueInvalid"),
        (field_invalid("a", True, "no"), "a: Invalid value: true: no", "FieldValueInvalid"),
        (field_type_invalid("a", [1], "no"), "a: Invalid value: [1]: no", "FieldValueTypeInvalid"),
        (field_required("a", "because"), "a: Required value: because", "FieldValueRequired"),
        (field_forbidden("a", "no"), "a: Forbidden: no", "FieldValueForbidden"),
        (field_duplicate("a", "x"), 'a: Duplicate value: "x"', "FieldValueDuplicate"),
        (field_not_found("a", "x"), 'a: Not found: "x"', "FieldValueNotFound"),
        (
            field_not_supported("a", "x", ["y", "z"]),
            'a: Unsupported value: "x": supported values: "y", "z"',
            "FieldValueNotSupported",
        ),
        (field_too_long("a", 5), "a: Too long: may not be more than 5 bytes", "FieldValueTooLong"),
        (field_too_many("a", 6, 5), "a: Too many: 6: must have at most 5 items", "FieldValueTooMany"),
    ],
)
def test_field_errors_read_as_kubes(error, message, reason):
    assert error.message == message
    assert error.reason == reason


@pytest.mark.parametrize("value", [10**40, {"a": 10**40}, "\ud800", float("nan"), {1, 2}])
def test_whatever_a_value_is_its_error_can_be_sent(value):
    orjson.dumps(InvalidError("", "Thing", "x", [field_invalid("a", value, "no")]).status())
