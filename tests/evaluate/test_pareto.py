from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from mingmu.evaluate.pareto import pareto, pareto_page
from mingmu.registry.tuning import Accuracy, Share, Trial


def trial(what: str, right: int, ms: float | None, megabytes: float, *, passed: bool = True) -> Trial:
    kept = Share(value=1.0, low=0.98, high=1.02)
    accuracy = Accuracy(photos=400, right=right, kept=kept)
    return Trial(what=what, passed=passed, verdict=f"about {what}", lone_ms=ms, megabytes=megabytes, ratio=2.0, accuracy=accuracy)


PARENT = trial("flowers@1", 380, 8.0, 44.0)
PRUNED = trial("resnet18, 50% kept", 378, 4.0, 11.0)
ROUNDED = trial("resnet18, <INT8>", 300, 2.0, 2.75, passed=False)


def test_each_network_is_a_circle_as_large_as_its_file_full_if_it_may_serve() -> None:
    drawn = pareto([PARENT, PRUNED, ROUNDED])
    circles = [(kind, float(radius)) for kind, radius in re.findall(r'<circle class="(\w+)".*? r="([\d.]+)"', drawn)]
    assert [kind for kind, _ in circles] == ["taken", "taken", "refused"]
    assert circles[0][1] == 2 * circles[1][1] == 4 * circles[2][1] or circles[2][1] >= 3.5


def test_sooner_lies_to_the_left_and_more_often_right_higher_up() -> None:
    places = re.findall(r'<circle class="\w+" cx="([\d.]+)" cy="([\d.]+)"', pareto([PARENT, PRUNED, ROUNDED]))
    across, down = ([float(place[axis]) for place in places] for axis in (0, 1))
    assert across == sorted(across, reverse=True)
    assert down == sorted(down)


def test_what_is_beaten_is_no_corner_of_the_line() -> None:
    def corners(*trials: Trial) -> str:
        return str(re.findall(r'<polyline class="ideal" points="([^"]+)"', pareto(trials))[0])

    worse = trial("slower and no better", 370, 6.0, 1.0)
    assert corners(PARENT, PRUNED, worse) == corners(PARENT, PRUNED, worse.model_copy(update={"what": "another"}))
    assert len(corners(PARENT, PRUNED, worse).split()) == len(corners(PARENT, PRUNED).split())
    assert len(corners(PARENT, PRUNED, worse.model_copy(update={"lone_ms": 1.0})).split()) > len(corners(PARENT, PRUNED).split())


def test_the_page_says_all_figures_and_verdicts_and_shows_names_as_text() -> None:
    page = pareto_page("flowers@1", [PARENT, PRUNED, ROUNDED], "400 photos")
    ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    assert "resnet18, &lt;INT8&gt;" in page
    assert "<b>refused</b>: about resnet18" in page
    assert "Judged on 400 photos" in page


def test_without_two_that_were_timed_nothing_is_drawn() -> None:
    assert pareto([PARENT, trial("not timed", 1, None, 1.0)]) == ""
