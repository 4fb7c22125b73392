"""Several data folders to learn from, each for its share: `real:0.6 rendered:0.4`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Share:
    """A folder of shards, and how much of what is learnt comes from it, against the others; ValueError unless > 0."""

    folder: Path
    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share < float("inf"):
            raise ValueError(f"the share of {self.folder} is {self.share}, but has to be positive")


def parse_shares(texts: Sequence[str]) -> tuple[Share, ...]:
    """Shares from FOLDER or FOLDER:SHARE texts; a folder whose own name ends in a colon and a number has to exist.

    ValueError names a text whose share is no positive number.
    """
    found = []
    for text in texts:
        name, colon, number = text.rpartition(":")
        if not colon or Path(text).exists():
            found.append(Share(Path(text)))
            continue
        try:
            found.append(Share(Path(name), float(number)))
        except ValueError:
            raise ValueError(f"{text} is neither a folder nor FOLDER:SHARE with a positive share") from None
    return tuple(found)
