from kcpcache.measure import Cap, Histogram


def test_a_value_counts_under_the_first_bound_that_it_does_not_exceed():
    histogram = Histogram((1, 10))
    for value in (0.5, 1, 1.5, 10, 11):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1]
    assert (histogram.count, histogram.sum) == (5, 24)


def test_a_copy_stays_as_it_was():
    histogram = Histogram((1,))
    copy = histogram.copy()
    histogram.observe(1)
    assert (copy.count, copy.sum, histogram.count) == (0, 0, 1)


def test_the_first_labels_are_kept_and_all_further_ones_are_the_other():
    cap = Cap(2, "other")
    assert [cap(label) for label in ("a", "b", "c", "a", "d", "b")] == ["a", "b", "other", "a", "other", "b"]
