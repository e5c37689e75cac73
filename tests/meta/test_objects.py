import uuid

from kcpcache.meta.objects import new_uid


def test_a_uid_is_a_random_uuid_and_never_comes_twice():
    found = [new_uid() for _ in range(1000)]
    assert len(set(found)) == len(found)
    for text in found:
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert parsed.version == 4
        assert parsed.variant == uuid.RFC_4122
