"""Which cases of a test run when not all of them do."""

GOLDEN = (5**0.5 - 1) / 2


def place(number):
    """Where a case stands between 0 and 1.

    Neighbours are far apart and no step repeats, so however the parameters of a test are
    nested, each of them has all its values among the cases that stand below 1/k.
    """
    return number * GOLDEN % 1
