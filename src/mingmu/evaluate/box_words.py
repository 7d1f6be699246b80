"""Figures of a detector in words that need no statistics to be understood; shared by the page and the model card."""

from __future__ import annotations

from mingmu.evaluate.box_measures import BoxMeasures
from mingmu.evaluate.measure import FEW
from mingmu.evaluate.predictions import UNKNOWN
from mingmu.evaluate.words import grouped, interval, listed, not_asked, percent, photos


def boxes(count: int) -> str:
    return f"{count:,} box{'' if count == 1 else 'es'}"


def headline(measures: BoxMeasures) -> str:
    """The result in a sentence."""
    found = measures.ap50
    result = f"AP50 is {percent(found.value)} (mAP {percent(measures.mean_average_precision.value)})"
    what = f"{result} on {boxes(measures.boxes)} of {photos(measures.examples)}"
    if measures.source == UNKNOWN:
        doubt = "Whether these taught it is not known here; only if they did not"
        return f"{what}. {doubt}, expect an AP50 of {interval(found)} on others like them."
    return f"{what}. On other photos like these, expect an AP50 of {interval(found)}."


def operation(measures: BoxMeasures) -> str:
    """What its answers are like, with the usual threshold."""
    with_it = f"With a threshold of {measures.threshold:g} it"
    if measures.precision is None:
        return f"{with_it} says nothing at all."
    found, right = percent(measures.recall.value), percent(measures.precision.value)
    return f"{with_it} finds {found} of the things that are there, and {right} of the boxes that it says are right."


def cautions(measures: BoxMeasures) -> list[str]:
    """What a reader must know before believing the figures."""
    copies = "just these, or from copies of them"
    found = not_asked(measures.left_out, measures.source, of="Labels", counted=boxes, without="a box, though with a label,", learned=copies)
    if measures.groups == 1 < measures.examples:
        found.append("All photos belong together, as frames of one video do: the intervals tell of chance among them, not of other scenes.")
    else:
        found += grouped(measures.examples, measures.groups)
    none = [each.label for each in measures.classes if not each.there]
    few = [each.label for each in measures.classes if 0 < each.there < FEW]
    if none:
        found.append(f"No box of: {listed(none)}. How well it finds them was not measured.")
    if few:
        found.append(f"Fewer than {FEW} boxes of: {listed(few)}. Their own figures are rough; look at their intervals.")
    return found
