"""The lines of the audit log."""

from datetime import UTC, datetime

import orjson
import pytest

from kcpcache.audit.event import Event, Head, source_ips, user_agent
from kcpcache.audit.policy import Level

AT = datetime(2030, 1, 1, 12, 0, 0, 5, tzinfo=UTC)
HEAD = Head("id-1", "/api/v1/pods?limit=1", "kubectl", ["10.0.0.1"], AT)


def event(**more):
    return Event(HEAD, Level.REQUEST_RESPONSE, "ResponseComplete", AT, "list", {"username": "alice"}, **more)


def test_a_line_has_what_is_known_in_kubes_order_and_nothing_empty():
    assert event(status={"metadata": {}, "code": 200}).line() == (
        b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"id-1",'
        b'"stage":"ResponseComplete","requestURI":"/api/v1/pods?limit=1","verb":"list","user":{"username":"alice"},'
        b'"sourceIPs":["10.0.0.1"],"userAgent":"kubectl","responseStatus":{"metadata":{},"code":200},'
        b'"requestReceivedTimestamp":"2030-01-01T12:00:00.000005Z","stageTimestamp":"2030-01-01T12:00:00.000005Z"}\n'
    )


def test_bodies_are_on_the_line_however_the_client_laid_them_out():
    line = event(request=lambda: orjson.loads(b'{\n  "a":\n 1}'), response=b'{"b":2}').line()
    assert line.count(b"\n") == 1
    assert orjson.loads(line)["requestObject"] == {"a": 1}
    assert orjson.loads(line)["responseObject"] == {"b": 2}


@pytest.mark.parametrize(
    "body", [{"metadata": {"managedFields": [1], "name": "a"}}, {"items": [{"metadata": {"managedFields": [1]}}]},
             {"rows": [{"object": {"metadata": {"managedFields": [1]}}}]}, ["no object"]]
)  # fmt: skip
def test_managed_fields_can_be_left_out_of_objects_lists_and_tables(body):
    text = orjson.dumps(body)
    line = event(request=lambda: orjson.loads(text), response=text, omit_managed_fields=True).line()
    assert b"managedFields" not in line
    assert (b"managedFields" in text) == (b"managedFields" in event(response=text).line())


@pytest.mark.parametrize("decode", [lambda: 1 // 0, lambda: {"a": object()}, lambda: "\ud800"])
def test_a_body_that_makes_no_json_costs_the_body_and_not_the_line(decode):
    found = orjson.loads(event(request=decode, response=b'{"b":2}').line())
    assert "requestObject" not in found
    assert found["responseObject"] == {"b": 2}


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, ["10.0.0.1"]),
        ({b"x-forwarded-for": b"1.2.3.4, nonsense, 5.6.7.8"}, ["1.2.3.4", "5.6.7.8", "10.0.0.1"]),
        ({b"x-forwarded-for": b"1.2.3.4", b"x-real-ip": b"1.2.3.4"}, ["1.2.3.4", "10.0.0.1"]),
        ({b"x-real-ip": b"10.0.0.1"}, ["10.0.0.1"]),
        ({b"x-real-ip": b"::1"}, ["::1", "10.0.0.1"]),
    ],
)
def test_source_ips_are_in_kubes_order(headers, found):
    assert source_ips(headers, "10.0.0.1") == found


def test_a_user_agent_is_cut_as_in_kube():
    assert user_agent({b"user-agent": b"x" * 1_025}) == "x" * 1_024 + "...TRUNCATED"
    assert user_agent({}) == ""
