from __future__ import annotations

import re

from mingmu.zoo import imagenet


def test_there_are_a_thousand_classes_and_no_two_are_alike() -> None:
    assert len(set(imagenet.ids())) == len(imagenet.ids()) == 1000
    assert len({label.casefold() for label in imagenet.labels()}) == len(imagenet.labels()) == 1000
    assert all(re.fullmatch(r"n\d{8}", id) for id in imagenet.ids())


def test_the_order_is_that_of_the_challenge() -> None:
    known = {0: ("n01440764", "tench"), 281: ("n02123045", "tabby"), 967: ("n07920052", "espresso"), 999: ("n15075141", "toilet tissue")}
    assert {index: (imagenet.ids()[index], imagenet.labels()[index]) for index in known} == known


def test_two_cranes_are_told_apart() -> None:
    by_id = dict(zip(imagenet.ids(), imagenet.labels(), strict=True))
    assert (by_id["n02012849"], by_id["n03126707"]) == ("crane (bird)", "crane (machine)")
