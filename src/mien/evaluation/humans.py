"""How well people tell the acted emotions of CREMA-D: the bar that a model is held against.

Each of its 7,442 clips was rated by about ten people from its sound, from its picture and from
both, and the corpus comes with a table of their votes; see `mien.datasets.crema_d`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mien.datasets import PRESENTATIONS, Presentation, Rated
from mien.datasets.crema_d import crema_d_ratings

ALL = "all"


def recognition_rates(folder: Path) -> pd.DataFrame:
    """How often the raters of CREMA-D chose the acted emotion.

    The plurality of a clip is the emotion with the most votes. In 5.6 to 8.7 % of the clips two or
    more share the first place. The rate ``plurality`` counts such a tie as a miss, for the raters
    did not agree on the acted emotion; the other rules stand beside it, so that their effect, up to
    six points for the voice, is in the open.

    Over all emotions ``plurality`` is 0.416 for the voice, 0.663 for the face and 0.722 for both,
    and ``votes`` 0.400, 0.574 and 0.631. The literature quotes 40.9, 58.2 and 63.6 % for single
    votes, which the published table does not reproduce.

    Args:
        folder: of the corpus; see `mien.datasets.crema_d.crema_d_votes`.

    Returns:
        One row per ``presentation`` and ``acted`` emotion, where ``all`` stands for all together:
        ``clips``, ``tied`` (share of clips), ``plurality``, ``plurality_tie_shared`` (a tie of k
        counts 1/k if the acted emotion is in it), ``plurality_tie_counts`` (it counts fully),
        ``plurality_untied`` (ties are left out) and ``votes`` (share of single votes). Rates are
        from 0 to 1.

    Raises:
        InputError: the table of votes is not there.
        FormatError: it lacks a column.
    """
    rated = list(crema_d_ratings(folder).values())
    rows = []
    for presentation in PRESENTATIONS:
        judged = _judge(rated, presentation)
        parts = [(ALL, judged), *judged.groupby("acted")]
        rows += [
            {"presentation": presentation, "acted": acted, **_rates(part)} for acted, part in parts
        ]
    return pd.DataFrame(rows)


def recognition(rated: Iterable[Rated], presentation: Presentation) -> dict[str, float]:
    """How often the raters of some clips, at least one, chose the acted emotion.

    Args:
        rated: the clips.
        presentation: what the raters were shown.

    Returns:
        The rates of `recognition_rates` by name.
    """
    return _rates(_judge(rated, presentation))


def _judge(rated: Iterable[Rated], presentation: Presentation) -> pd.DataFrame:
    """What a vote of all raters says of each clip."""
    clips = list(rated)
    votes = pd.DataFrame([clip.votes[presentation] for clip in clips]).fillna(0)
    acted = pd.Series([clip.acted for clip in clips])
    own = pd.DataFrame({emotion: acted == emotion for emotion in votes})
    leaders = votes.eq(votes.max(axis=1), axis=0)
    return pd.DataFrame(
        {
            "acted": acted,
            "hit": (leaders & own).any(axis=1),
            "leaders": leaders.sum(axis=1),
            "right": votes.where(own, 0).sum(axis=1),
            "cast": votes.sum(axis=1),
        }
    )


def _rates(judged: pd.DataFrame) -> dict[str, float]:
    hit, tied = judged["hit"], judged["leaders"] > 1
    return {
        "clips": len(judged),
        "tied": tied.mean(),
        "plurality": (hit & ~tied).mean(),
        "plurality_tie_shared": (hit / judged["leaders"]).mean(),
        "plurality_tie_counts": hit.mean(),
        "plurality_untied": hit[~tied].mean(),
        "votes": judged["right"].sum() / judged["cast"].sum(),
    }
