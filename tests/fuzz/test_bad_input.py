"""P14, row by row of the list of faults: bodies, depth, duplicates, patches, expressions, paths, encodings, headers."""

import gzip
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hostile import (
    API,
    MAPS,
    ROOT,
    THINGS,
    body_of,
    check_status,
    crd,
    established,
    exchange,
    forget_peak,
    peak_mib,
    refusal,
)
from real_server import Server, eventually

JSON = {"Content-Type": "application/json"}
YAML = {"Content-Type": "application/yaml"}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
APPLY_PATCH = {"Content-Type": "application/apply-patch+yaml"}
LIMIT = 3 * 2**20
AT_ONCE_SECONDS = 5.0
ROOM_MIB = 100.0


@pytest.fixture(scope="module")
def target(http: httpx.Client) -> str:
    """The path of a ConfigMap that exists."""
    made = http.post(MAPS, json={"metadata": {"name": "target"}, "data": {"a": "1"}})
    assert made.is_success, made.text
    return f"{MAPS}/target"


def thing(text: str) -> bytes:
    """An object that keeps anything, around a piece of JSON that json.dumps would not write."""
    head = '{"apiVersion":"fuzz.example.com/v1","kind":"Thing","metadata":{"generateName":"t-"},"spec":{"value":'
    return f"{head}{text}}}}}".encode("utf-8", "surrogatepass")


def config_map_of(size: int) -> bytes:
    """A body of exactly that many bytes."""
    head, tail = b'{"metadata":{"name":"big"},"data":{"a":"', b'"}}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


def pieces(body: bytes, size: int = 65536) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


# -- bodies


@pytest.mark.parametrize("chunked", [False, True])
def test_p14_a_body_of_3_mib_and_a_byte_is_too_large(http: httpx.Client, chunked: bool):
    body = config_map_of(LIMIT + 1)
    response = http.post(MAPS, content=pieces(body) if chunked else body, headers=JSON)
    assert refusal(response) == 413
    assert response.json()["reason"] == "RequestEntityTooLarge"


def test_p14_a_body_of_3_mib_is_read_to_its_end(http: httpx.Client):
    response = http.post(MAPS, content=config_map_of(LIMIT), headers=JSON)
    # It is the ConfigMap that is too large, which only a server that read it can know.
    assert refusal(response) == 422
    assert "Too long" in response.text


@pytest.mark.parametrize("layers", [1, 2])
def test_p14_a_gzip_bomb_is_refused_in_bounded_memory(server: Server, http: httpx.Client, layers: int):
    bomb = gzip.compress(config_map_of(300 * 2**20), compresslevel=9)
    for _ in range(layers - 1):
        bomb = gzip.compress(bomb)
    before = forget_peak(server)
    coding = ", ".join(["gzip"] * layers)
    response = http.post(MAPS, content=bomb, headers={**JSON, "Content-Encoding": coding})
    assert refusal(response) in {400, 413, 415}
    assert peak_mib(server) - before < ROOM_MIB


def test_p14_chunks_without_end_are_answered_long_before_their_end(server: Server):
    head = f"POST {MAPS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    before = forget_peak(server)
    code, answer, sent = exchange(server, itertools.chain([head.encode()], itertools.repeat(chunk, 4096)))
    assert code == 413
    check_status(body_of(answer), 413)
    assert b"connection: close" in answer.lower()
    assert sent < 16 * 2**20
    assert peak_mib(server) - before < ROOM_MIB


@pytest.mark.parametrize(
    ("coding", "body"),
    [("br", b"{}"), ("gzip", b"not gzip"), ("gzip", gzip.compress(b"{}")[:-6]), ("zstd", b"{}"), ("x" * 4000, b"{}")],
    ids=["unknown", "no gzip", "cut off", "zstd", "long"],
)
def test_p14_a_content_encoding_that_is_unknown_or_broken_is_refused(http: httpx.Client, coding: str, body: bytes):
    response = http.post(MAPS, content=body, headers={**JSON, "Content-Encoding": coding})
    assert refusal(response) in {400, 415}


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/json; charset=utf-16", "a/b/c", "application/xml", ";"]
)
def test_p14_a_content_type_that_is_not_understood_is_refused_or_the_body_is_read_right(http: httpx.Client, kind: str):
    response = http.post(f"{MAPS}?dryRun=All", content=b'{"metadata":{"name":"x"}}', headers={"Content-Type": kind})
    assert response.is_success or refusal(response) in {400, 415}


@pytest.mark.parametrize(
    "accept", ["application/vnd.kubernetes.protobuf", "text/html", "application/json;as=Table;v=v9;g=x"]
)
def test_p14_an_accept_that_cannot_be_met_is_not_acceptable(http: httpx.Client, accept: str):
    assert refusal(http.get(MAPS, headers={"Accept": accept})) == 406


# -- depth, duplicates, numbers, text


@pytest.mark.parametrize("opening", ["[", '{"a":'], ids=["arrays", "objects"])
@pytest.mark.parametrize("closed", [True, False])
def test_p14_json_100_000_deep_is_refused_at_once(http: httpx.Client, target: str, opening: str, closed: bool):
    depth = 100_000
    deep = opening * depth + ("1" + ("]" if opening == "[" else "}") * depth if closed else "")
    started = time.monotonic()
    for method, path, headers in (
        ("POST", THINGS, JSON),
        ("POST", THINGS, YAML),
        ("PUT", target, JSON),
        ("PATCH", target, MERGE_PATCH),
        ("PATCH", target, JSON_PATCH),
        ("PATCH", target, {"Content-Type": "application/strategic-merge-patch+json"}),
        ("PATCH", f"{target}?fieldManager=deep", APPLY_PATCH),
        ("DELETE", target, JSON),
    ):
        for body in (deep.encode(), thing(deep)):
            assert refusal(http.request(method, path, content=body, headers=headers)) == 400, (method, headers)
    assert time.monotonic() - started < 16 * AT_ONCE_SECONDS


def test_p14_what_is_nested_as_deep_as_allowed_comes_back_as_it_was(http: httpx.Client):
    depth = 50
    response = http.post(THINGS, content=thing("[" * depth + "]" * depth), headers=JSON)
    assert response.is_success, response.text
    assert json.dumps(response.json()["spec"]["value"], separators=(",", ":")) == "[" * depth + "]" * depth


def test_p14_duplicate_keys_are_refused_when_asked_and_warned_of_otherwise(http: httpx.Client):
    body = thing('{"deep":[{"a":1,"a":2}]}')
    strict = http.post(f"{THINGS}?fieldValidation=Strict", content=body, headers=JSON)
    assert refusal(strict) == 400
    assert "duplicate field" in strict.text
    warned = http.post(THINGS, content=body, headers=JSON)
    assert warned.is_success
    assert "duplicate field" in warned.headers["Warning"]
    assert warned.json()["spec"]["value"] == {"deep": [{"a": 2}]}


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "nan", "0x10", "01", "+1", "1.", ".5", "1e", "1e999"]
)
def test_p14_what_is_no_json_number_is_refused(http: httpx.Client, number: str):
    assert refusal(http.post(THINGS, content=thing(number), headers=JSON)) == 400


HUGE = [*map(str, (2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64, 2**64 + 1, -(2**63) - 1, 10**30))]


@pytest.mark.parametrize("digits", [*HUGE, "1" + "0" * 400, "-" + "7" * 50_000], ids=lambda digits: digits[:30])
@pytest.mark.parametrize("headers", [JSON, YAML, APPLY_PATCH], ids=["json", "yaml", "apply"])
def test_p14_a_huge_integer_is_refused_or_comes_back_as_it_was(
    http: httpx.Client, headers: dict[str, str], digits: str
):
    if headers is APPLY_PATCH:
        body = thing(digits).replace(b'"generateName":"t-"', b'"name":"huge"')
        response = http.patch(f"{THINGS}/huge?fieldManager=huge", content=body, headers=headers)
    else:
        response = http.post(THINGS, content=thing(digits), headers=headers)
    if response.is_success:
        assert f'"value":{digits}' in http.get(f"{THINGS}/{response.json()['metadata']['name']}").text
    else:
        assert refusal(response) in {400, 422}


@pytest.mark.parametrize(
    "text",
    [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xe2\x82"],
    ids=lambda text: text.hex(),
)
@pytest.mark.parametrize("headers", [JSON, YAML], ids=["json", "yaml"])
def test_p14_bad_utf_8_is_refused(http: httpx.Client, text: bytes, headers: dict[str, str]):
    body = thing('"here"').replace(b"here", text)
    assert refusal(http.post(THINGS, content=body, headers=headers)) == 400


@pytest.mark.parametrize("escape", ["\\ud800", "\\udc00\\ud800", "\\ud800x", "\\u12", "\\x41"])
def test_p14_escapes_of_half_a_character_are_refused(http: httpx.Client, escape: str):
    assert refusal(http.post(THINGS, content=thing(f'"{escape}"'), headers=JSON)) == 400


@pytest.mark.parametrize("text", ["\\u0000", "\\ud83d\\ude00", "\u2028", "\\u007f", "\ufeff", "\U0010ffff"])
def test_p14_odd_but_valid_text_comes_back_as_it_was(http: httpx.Client, text: str):
    made = http.post(THINGS, content=thing(f'"{text}"'), headers=JSON)
    assert made.is_success, made.text
    assert http.get(f"{THINGS}/{made.json()['metadata']['name']}").json()["spec"]["value"] == json.loads(f'"{text}"')


@pytest.mark.parametrize("headers", [YAML, APPLY_PATCH], ids=["body", "apply"])
def test_p14_a_yaml_alias_bomb_is_refused_in_bounded_time_and_memory(
    server: Server, http: httpx.Client, target: str, headers: dict[str, str]
):
    levels = "\n".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))
    bomb = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: target}}\ndata:\n  a0: &a0 lol\n{levels}\n"
    before, started = forget_peak(server), time.monotonic()
    if headers is YAML:
        response = http.post(MAPS, content=bomb, headers=headers)
    else:
        response = http.patch(f"{target}?fieldManager=bomb", content=bomb, headers=headers)
    assert refusal(response) in {400, 413}
    assert time.monotonic() - started < AT_ONCE_SECONDS
    assert peak_mib(server) - before < ROOM_MIB


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "a: !!python/object/apply:os.system [true]",
        "? [a, b]\n: c",
        "a: b\n---\nc: d",
        "%TAG ! tag:x,2000:\n--- !y z",
        "1: 2",
        "- a",
        "a: 0x1F\n b: c",
        "<<: *x",
        "a: 2001-01-01T00:00:00Z\n<<: {<<: {}}",
        "&" * 5000,
        "!" * 5000,
        "a" * 2**20 + ": b",
        "",
    ],
)
def test_p14_odd_yaml_is_refused(http: httpx.Client, text: str):
    assert refusal(http.post(MAPS, content=text, headers=YAML)) in {400, 422}


@pytest.mark.parametrize(
    "body", [b"", b"null", b"1", b'"x"', b"[]", b"true", b"{", b"{}x", b"\x00", b"k8s\x00", b"\xef\xbb\xbf{}"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_p14_a_body_that_is_no_object_is_refused(http: httpx.Client, target: str, method: str, body: bytes):
    headers = MERGE_PATCH if method == "PATCH" else JSON
    path = MAPS if method == "POST" else target
    assert refusal(http.request(method, path, content=body, headers=headers)) in {400, 422}


@pytest.mark.parametrize(
    "body",
    [b"k8s\x00", b"k8s\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"k8s\x00" + b"\x0a\xff\xff\xff\xff\x0f", b"{}"],
)
def test_p14_broken_protobuf_is_refused(http: httpx.Client, body: bytes):
    headers = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    assert refusal(http.post(MAPS, content=body, headers=headers)) == 400


# -- patches


def test_p14_10_001_patch_operations_are_too_many(http: httpx.Client, target: str):
    operation = {"op": "test", "path": "/data/a", "value": "1"}
    response = http.patch(target, content=json.dumps([operation] * 10_001), headers=JSON_PATCH)
    assert refusal(response) == 413
    allowed = http.patch(target, content=json.dumps([operation] * 10_000), headers=JSON_PATCH)
    assert allowed.is_success, allowed.text


def test_p14_copies_that_double_each_time_are_refused_in_bounded_memory(server: Server, http: httpx.Client):
    made = http.post(THINGS, content=thing('{"a":["' + "x" * 1000 + '"]}'), headers=JSON)
    path = f"{THINGS}/{made.json()['metadata']['name']}"
    doubling = [{"op": "copy", "from": "/spec/value", "path": "/spec/value/b"}] + [
        {"op": "copy", "from": "/spec/value/a", "path": "/spec/value/a/-"},
        {"op": "copy", "from": "/spec/value", "path": "/spec/value/c"},
    ] * 40
    before, started = forget_peak(server), time.monotonic()
    response = http.patch(path, content=json.dumps(doubling), headers=JSON_PATCH)
    assert refusal(response) in {413, 422}
    assert time.monotonic() - started < AT_ONCE_SECONDS
    assert peak_mib(server) - before < ROOM_MIB


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "add"}],
        [{"op": "jump", "path": "/data"}],
        [{"op": "add", "path": "data", "value": 1}],
        [{"op": "add", "path": "/data/~2", "value": "1"}],
        [{"op": "replace", "path": "", "value": [None]}],
        [{"op": "remove", "path": ""}],
        [{"op": "remove", "path": "/metadata"}],
        [{"op": "move", "from": "/data", "path": "/data/a"}],
        [{"op": "add", "path": "/data/x/" + "y/" * 50_000, "value": 1}],
        [{"op": "add", "path": "/metadata/finalizers/99999999999999999999", "value": "x"}],
        [{"op": "test", "path": "/data/a", "value": "2"}],
        ["add"],
        [None],
        {"op": "add"},
        7,
    ],
)
def test_p14_a_json_patch_that_cannot_be_carried_out_is_refused(http: httpx.Client, target: str, operations: Any):
    response = http.patch(target, content=json.dumps(operations), headers=JSON_PATCH)
    assert refusal(response) in {400, 422}


@pytest.mark.parametrize(
    "patch",
    [
        {"data": {"$patch": "explode"}},
        {"$patch": ["replace"]},
        {"metadata": {"$setElementOrder/finalizers": 7}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": {"a": 1}}},
        {"$retainKeys": "x"},
        {"metadata": {"ownerReferences": [{"$patch": "delete"}]}},
        {"metadata": {"ownerReferences": [7, None, []]}},
        {"metadata": None},
        {"metadata": []},
        {"data": 7},
    ],
)
def test_p14_a_strategic_merge_patch_that_makes_no_sense_is_refused(http: httpx.Client, target: str, patch: Any):
    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    response = http.patch(f"{target}?dryRun=All", content=json.dumps(patch), headers=headers)
    assert response.is_success or refusal(response) in {400, 422}


# -- expressions


def bounded(http: httpx.Client, schema: dict[str, Any]) -> httpx.Response:
    """The answer to a CRD with that schema for ``spec``, which must not keep the server busy."""
    started = time.monotonic()
    response = http.post(API + "/customresourcedefinitions", json=crd("bombs", schema))
    assert time.monotonic() - started < AT_ONCE_SECONDS
    return response


@pytest.fixture
def without_bombs(http: httpx.Client) -> Iterator[None]:
    """Leave no such CRD behind, whether or not there should be one."""
    yield
    path = f"{API}/customresourcedefinitions/bombs.fuzz.example.com"
    http.delete(path)
    eventually(lambda: http.get(path).status_code == 404)


@pytest.mark.usefixtures("without_bombs")
@pytest.mark.parametrize(
    "pattern",
    ["((a{1,1000}){1,1000}){1,1000}", "(" * 20_000 + "a" + ")" * 20_000, "(a", "(?<=a)b", "\\1(a)", "[z-a]", "a**"],
)
def test_p14_a_regular_expression_that_explodes_when_compiled_or_is_none_is_refused(http: httpx.Client, pattern: str):
    response = bounded(http, {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}})
    assert refusal(response) == 422
    assert "spec.versions[0].schema.openAPIV3Schema" in response.text or "spec.validation" in response.text


@pytest.mark.usefixtures("without_bombs")
@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(.*)*$", "(x+x+)+y", "^([a-zA-Z]+)*$"])
def test_p14_a_regular_expression_that_would_backtrack_for_ever_answers_at_once(http: httpx.Client, pattern: str):
    response = bounded(http, {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}})
    assert response.is_success, response.text
    established(http, "bombs")
    started = time.monotonic()
    body = {"apiVersion": "fuzz.example.com/v1", "kind": "Bomb", "metadata": {"name": "a"}}
    answer = http.post(THINGS.replace("things", "bombs"), json={**body, "spec": {"a": "x" * 100_000 + "!"}})
    assert answer.is_success or refusal(answer) == 422
    assert time.monotonic() - started < AT_ONCE_SECONDS


@pytest.mark.usefixtures("without_bombs")
@pytest.mark.parametrize(
    "rule",
    [
        "[" * 200 + "1" + "]" * 200 + " == []",
        "(" * 5000 + "true" + ")" * 5000,
        "!" * 100_000 + "true",
        "true" + " && true" * 20_000,
        "self.missing",
        "1",
        "self.s +",
        "self.l.all(x, ",
        "dyn(self).x()",
        "\x00",
    ],
)
def test_p14_an_expression_that_is_too_large_or_is_none_is_refused(http: httpx.Client, rule: str):
    properties = {"l": {"type": "array", "items": {"type": "string"}}, "s": {"type": "string"}}
    schema = {"type": "object", "properties": properties, "x-kubernetes-validations": [{"rule": rule}]}
    response = bounded(http, schema)
    assert refusal(response) == 422, response.text
    assert "x-kubernetes-validations[0].rule" in response.text


@pytest.mark.usefixtures("without_bombs")
@pytest.mark.parametrize(
    "rule",
    [
        "self.l.all(a, self.l.all(b, self.l.all(c, self.l.all(d, a == b && c == d))))",
        "self.l.map(a, self.l.map(b, self.l)).size() > 0",
        "self.s.matches('(a+)+$') && self.l.all(x, self.l.all(y, x.matches(y)))",
        "self.l.all(x, self.l.exists(y, y.contains(x + x + x))) || self.l.all(x, x.replace('', x).size() > 0)",
    ],
)
def test_p14_an_expression_that_costs_too_much_for_an_object_refuses_it_at_once(http: httpx.Client, rule: str):
    properties = {"l": {"type": "array", "items": {"type": "string"}}, "s": {"type": "string"}}
    response = bounded(http, {"type": "object", "properties": properties, "x-kubernetes-validations": [{"rule": rule}]})
    if response.is_success:
        established(http, "bombs")
        body = {"apiVersion": "fuzz.example.com/v1", "kind": "Bomb", "metadata": {"name": "a"}}
        started = time.monotonic()
        spec = {"l": ["a" * 60] * 20_000, "s": "a" * 100_000}
        response = http.post(THINGS.replace("things", "bombs"), json={**body, "spec": spec})
        assert time.monotonic() - started < AT_ONCE_SECONDS
    assert refusal(response) == 422
    assert "cost" in response.text


@pytest.mark.parametrize(
    "selector", ["a in (", "a=b=c", "," * 10_000, "((", "a in (" + "b," * 8000 + "c)", "\x00", "=", "é=1"]
)
@pytest.mark.parametrize("parameter", ["labelSelector", "fieldSelector"])
def test_p14_a_selector_that_is_none_is_refused(http: httpx.Client, parameter: str, selector: str):
    started = time.monotonic()
    response = http.get(MAPS, params={parameter: selector})
    assert response.is_success or refusal(response) in {400, 414, 431}
    assert time.monotonic() - started < AT_ONCE_SECONDS


# -- paths and queries


PATHS = [
    "/clusters/root/api/v1/namespaces/..%2fdefault/configmaps/x",
    "/clusters/root/api/v1/namespaces/default/configmaps/..%2f..%2fsecrets%2fx",
    "/clusters/root/api/v1/namespaces/default/configmaps/..",
    "/clusters/root/api/v1/namespaces/../namespaces/default/configmaps/x",
    "/clusters/root/api/v1/namespaces/default/configmaps/%2e%2e",
    "/clusters/root/api/v1/namespaces/default/configmaps/a%00b",
    "/clusters/root/api/v1/namespaces/%00/configmaps",
    "/clusters/root%00/api/v1/namespaces/default/configmaps/x",
    "/clusters/root%2f..%2fother/api/v1/namespaces/default/configmaps/x",
    "/clusters/..%2froot/api/v1/namespaces/default/configmaps/x",
    "/clusters/root/api/v1/namespaces/root:a/configmaps/x",
    "/clusters/root/api/v1/namespaces/default/configmaps/root:a",
    "/clusters/root/api/v1/namespaces/root%3Aa/configmaps",
    "/clusters/root/apis/tenancy.kcp.io/v1alpha1/workspaces/root:a",
    "/clusters/root:/api/v1/namespaces/default/configmaps/x",
    "/clusters/:root/api/v1/namespaces/default/configmaps/x",
    "/clusters/root::a/api/v1/namespaces/default/configmaps/x",
    "/clusters//api/v1/namespaces/default/configmaps/x",
    "/clusters/ROOT/api/v1/namespaces/default/configmaps/x",
    "/clusters/root/api/v1/namespaces/default/configmaps/%ff%fe",
    "/clusters/root/api/v1/namespaces/default/configmaps/%zz",
    "/clusters/root/api/v1/namespaces/default/configmaps/" + "x" * 10_000,
    "/clusters/root/api/v1//namespaces//default",
    "/clusters/" + "a:" * 2000 + "a/api/v1/namespaces/default/configmaps/x",
    "/services/..%2fclusters/root/api/v1/configmaps",
    "/services/apiexport/root:a/..%2f/clusters/*/api/v1/configmaps",
    "/services/replication/root/*/clusters/*/api/v1/configmaps/%00",
    "/services/cache/shards/*/clusters/..%2f/api/v1/configmaps/a",
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:70])
def test_p14_a_path_that_names_nothing_well_formed_never_reaches_a_key(server: Server, path: str):
    body = b'{"metadata":{"labels":{"reached":"yes"}}}'
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        code, answer, _ = exchange(server, [head.encode() + body])
        assert code in {400, 403, 404, 405, 414, 422}, (method, answer)
        check_status(body_of(answer), code)


@pytest.mark.parametrize(
    "name", ["..", "a/b", "a%2fb", "a\x00b", "root:a", "*", "A", "a_b", "-a", "a" * 254, "é", "", "a\nb"]
)
def test_p14_a_name_in_a_body_that_is_none_is_refused(http: httpx.Client, name: str):
    for path in (MAPS, f"{ROOT}/api/v1/namespaces", f"{ROOT}/apis/tenancy.kcp.io/v1alpha1/workspaces"):
        response = http.post(path, json={"metadata": {"name": name}})
        assert refusal(response) in {400, 422}, name


@pytest.mark.parametrize("namespace", ["..", "root:a", "a\x00b", "other", "*"])
def test_p14_a_namespace_in_a_body_that_is_not_the_path_s_is_refused(http: httpx.Client, namespace: str):
    response = http.post(MAPS, json={"metadata": {"name": "x", "namespace": namespace}})
    assert refusal(response) == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x"}}),
        ("PUT", "/api/v1/namespaces/default/configmaps/target", {"metadata": {"name": "target"}}),
        ("PATCH", "/api/v1/namespaces/default/configmaps/target", {"data": {"a": "2"}}),
        ("DELETE", "/api/v1/namespaces/default/configmaps/target", None),
        ("DELETE", "/api/v1/namespaces/default/configmaps", None),
        ("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}}),
    ],
)
def test_p14_all_workspaces_at_once_cannot_be_written(
    http: httpx.Client, target: str, method: str, path: str, body: dict[str, Any] | None
):
    headers = MERGE_PATCH if method == "PATCH" else JSON
    response = http.request(method, f"/clusters/*{path}", content=json.dumps(body) if body else None, headers=headers)
    assert refusal(response) in {400, 403, 404, 405}
    assert http.get(target).json()["data"] == {"a": "1"}


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=x",
        "limit=99999999999999999999",
        "continue=x",
        "continue=" + "e" * 5000,
        "resourceVersion=x",
        "resourceVersion=-1",
        "resourceVersion=" + "9" * 400,
        "resourceVersion=1&resourceVersionMatch=Sometimes",
        "watch=maybe",
        "watch=1&timeoutSeconds=-1",
        "watch=1&timeoutSeconds=" + "9" * 30,
        "watch=1&resourceVersion=x",
        "watch=1&sendInitialEvents=true",
        "watch=1&sendInitialEvents=true&resourceVersionMatch=Exact",
        "timeoutSeconds=x",
        "%ff=%fe",
        "a=%00",
        "=&&&==",
        "labelSelector=%ff",
        "fieldSelector=spec.nothing%3D1",
        "&".join(f"a{number}=1" for number in range(3000)),
    ],
    ids=lambda query: query[:50],
)
def test_p14_a_query_that_makes_no_sense_is_refused_or_ignored(server: Server, query: str):
    head = f"GET {MAPS}?{query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    if query.startswith("watch="):
        head = head.replace("?", "?timeoutSeconds=1&")
    code, answer, _ = exchange(server, [head.encode()])
    assert code == 200 or 400 <= code < 500, answer[:300]
    if code != 200:
        check_status(body_of(answer), code)


@pytest.mark.parametrize(
    "query",
    [
        "dryRun=Some",
        "fieldValidation=Perhaps",
        "fieldManager=" + "m" * 200,
        "fieldManager=%00",
        "dryRun=All&dryRun=None",
    ],
)
def test_p14_options_of_a_write_that_make_no_sense_are_refused(http: httpx.Client, query: str):
    response = http.post(f"{MAPS}?{query}", json={"metadata": {"name": "options"}})
    assert refusal(response) in {400, 422}


# -- headers


FORGED = [
    {"X-Remote-User": "kcp-admin", "X-Remote-Group": "system:masters"},
    {"X-Remote-User": "admin", "X-Remote-Extra-Scopes": "everything"},
    {"Impersonate-User": "kcp-admin"},
    {"Impersonate-User": "x", "Impersonate-Group": "system:masters"},
    {"Impersonate-Group": "system:masters"},
    {"Impersonate-Uid": "1"},
    {"Authorization": "Bearer forged"},
    {"Authorization": "Bearer a.b.c"},
    {"Authorization": "Basic YTpi"},
    {"Authorization": "Bearer " + "x" * 20_000},
    {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."},
]


@pytest.mark.parametrize("headers", FORGED, ids="+".join)
def test_p14_forged_headers_make_nobody_into_somebody(server: Server, headers: dict[str, str]):
    with server.client(user=None) as nobody:
        for path in (
            MAPS,
            "/clusters/root/api/v1/secrets",
            "/metrics",
            "/services/cache/shards/*/clusters/*/api/v1/secrets",
        ):
            assert refusal(nobody.get(path, headers=headers)) in {400, 401, 403, 431}, path


@pytest.mark.parametrize(
    "headers",
    [
        {"Impersonate-Group": "system:masters"},
        {"Impersonate-Extra-scopes": "x"},
        {"Impersonate-Uid": "1"},
        {"Impersonate-User": ""},
        {"Impersonate-User": "system:serviceaccount:x"},
        {"Impersonate-User": "a", "Impersonate-Extra-%zz": "x"},
    ],
    ids="+".join,
)
def test_p14_an_impersonation_that_makes_no_sense_is_refused(http: httpx.Client, headers: dict[str, str]):
    response = http.get(MAPS, headers=headers)
    assert response.is_success or refusal(response) in {400, 403}


def test_p14_credentials_are_asked_for_where_there_are_none(server: Server):
    with server.client(user=None) as nobody:
        for path in (
            "/metrics",
            "/services/cache/",
            "/clusters/root/apis",
            "/clusters/*/api/v1/secrets",
            "/dashboard/x",
        ):
            assert refusal(nobody.get(path)) in {401, 403, 404}, path
        assert nobody.get("/livez").is_success


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/9.9\r\n\r\n",
        "GET\r\n\r\n",
        "\r\n" * 100 + "x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 20_000 + "\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: " + "y" * 2**20 + "\r\n\r\n",
        "GET /" + "a" * 2**20 + " HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\x00: y\r\n\r\n",
        "GET /clusters/root/api HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "POST /clusters/root/api/v1/namespaces HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /clusters/root/api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "GET /clusters/root/api HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "BREW /clusters/root/api/v1/namespaces HTTP/1.1\r\nHost: a\r\n\r\n",
        "TRACE /clusters/root/api/v1/namespaces HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://evil.example/clusters/root/api HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ],
    ids=lambda head: repr(head[:40]),
)
def test_p14_a_request_that_is_no_http_ends_with_a_refusal_or_the_connection(
    server: Server, http: httpx.Client, head: str
):
    code, answer, _ = exchange(server, [head.encode()])
    assert code == 0 or code < 500 or code in {501, 505}, answer
    assert http.get("/livez").is_success
