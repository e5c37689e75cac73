import pytest

from kcpcache.api.negotiation import PLAIN, Form, accepts_gzip, negotiate
from kcpcache.meta.errors import NotAcceptableError

_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = Form("metadata", "v1", "PartialObjectMetadata")
METADATA_LIST = Form("metadata", "v1", "PartialObjectMetadataList")
_METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("application/json", PLAIN),
        ("Application/JSON", PLAIN),
        ("application/vnd.kubernetes.protobuf,application/json", PLAIN),
        ("text/html,application/xhtml+xml,*/*;q=0.8", PLAIN),
        (f"{_TABLE},application/json", Form("table", "v1", "Table")),
        (f"{_TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Form("table", "v1", "Table")),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Form("table", "v1beta1", "Table")),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", PLAIN),
        (f"application/json;q=0.5,{_TABLE};q=0.9", Form("table", "v1", "Table")),
        (f"application/json;q=0.9,{_TABLE};q=0.5", PLAIN),
        (f"{_TABLE};q=0,application/json", PLAIN),
        (f"application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,{_METADATA}", METADATA),
        ("application/json; as=PartialObjectMetadataList; v=v1; g=meta.k8s.io", METADATA_LIST),
        ("application/json;stream=watch", PLAIN),
    ],
)
def test_the_first_form_that_is_asked_for_and_known_is_taken(accept, form):
    assert negotiate(accept) == form


@pytest.mark.parametrize(
    "accept",
    [
        "application/vnd.kubernetes.protobuf",
        "application/yaml",
        "application/json;q=0",
        "application/json;as=Table;v=v1;g=other",
        "application/json;as=Unknown;v=v1;g=meta.k8s.io",
        ";;;",
    ],
)
def test_nothing_known_is_not_acceptable(accept):
    with pytest.raises(NotAcceptableError):
        negotiate(accept)


def test_where_there_is_one_shape_only_the_others_are_passed_over():
    assert negotiate(f"{_TABLE},application/json", shapes=False) == PLAIN
    with pytest.raises(NotAcceptableError):
        negotiate(_TABLE, shapes=False)


@pytest.mark.parametrize(
    ("header", "wanted"), [("gzip", True), ("gzip, deflate, br", True), ("", False), ("br", False), ("gzip;q=0", False)]
)
def test_answers_are_compressed_for_those_who_accept_it(header, wanted):
    assert accepts_gzip(header) is wanted
