"""How hard a text presses, by a small lexicon that anyone can read.

tone = (praise + exclamation marks + invitations - hedges) per 100 words: about 0 where a text says plainly what is so,
above where it advertises, below where it leaves the choice open. It reads single words, no irony and no negation, so it
is for comparing groups of texts of one kind, not for judging one of them. English only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PRAISE = frozenset(
    "acclaimed amazing astonishing beautiful beautifully best breathtaking brilliant brilliantly captivating charming"
    " compelling delight delightful enchanting engaging enjoyable enthralling entertaining epic excellent exceptional"
    " exciting exhilarating extraordinary fantastic fascinating finest gem great gripping heartwarming hilarious iconic"
    " immersive impressive incredible intriguing irresistible legendary lovely magnificent marvellous marvelous"
    " masterful masterfully masterpiece memorable must-play must-read must-see must-watch outstanding perfect perfectly"
    " phenomenal powerful remarkable rewarding riveting sensational spectacular stellar stunning superb terrific"
    " thrilling timeless treat unforgettable unique unmissable wonderful wonderfully".split()
)
"""Words that praise."""
HEDGES = frozenset(
    "apparently appear appears arguably could fairly likely may maybe might perhaps possibly potentially presumably"
    " probably rather seem seems somewhat suggest suggests".split()
)
"""Words that leave open whether it is so."""
INVITATIONS = frozenset(
    "add be check choose come consider delve discover dive dont embark enjoy experience explore find get give go grab"
    " have immerse indulge join jump let look pick play prepare read relive see settle sit start step take treat try"
    " view watch witness".split()
)
"""Words that invite or order where a sentence begins with them: "Give it a try"."""

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_BEGINNING = re.compile(r"(?:^|[.!?:;]\s+|\n)[\s\"“'‘(*-]*([^\W\d_]+(?:['’][^\W\d_]+)?)")


@dataclass(frozen=True, slots=True)
class Tone:
    """How often each kind occurs in a text of `words` words."""

    words: int
    praise: int
    exclamations: int
    invitations: int
    hedges: int

    @property
    def score(self) -> float:
        """Praise, exclamation marks and invitations, less the hedges, per 100 words; 0 for no words."""
        pressing = self.praise + self.exclamations + self.invitations - self.hedges
        return 100.0 * pressing / self.words if self.words else 0.0


def tone(text: str) -> Tone:
    """What of the lexicon `text` has. Leave titles out of it first: "It's a Wonderful Life" praises nothing.

    >>> tone("Give it a try! It is a perfect match.").score
    33.33333333333333
    """
    words = [match[0].casefold().replace("’", "'") for match in _WORD.finditer(text)]
    begin = [match[1].casefold().replace("’", "").replace("'", "") for match in _BEGINNING.finditer(text)]
    return Tone(
        words=len(words),
        praise=sum(word in PRAISE for word in words),
        exclamations=text.count("!"),
        invitations=sum(word in INVITATIONS for word in begin),
        hedges=sum(word in HEDGES for word in words),
    )
