"""Human recognition of the acted emotions of CREMA-D: the bar that a model is held against.

Each of its 7,442 clips was rated by about ten people from its sound, from its picture and from
both, and the corpus comes with a table of their votes; see `mien.datasets.crema_d`.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from mien.datasets import Presentation, Rated


def measure_recognition(rated: Iterable[Rated], presentation: Presentation) -> dict[str, float]:
    """Measure how often the raters of some clips, at least one, chose the acted emotion.

    The plurality of a clip is the emotion with the most votes. In 5.6 to 8.7 % of the clips of
    CREMA-D two or more share the first place. The rate ``plurality`` counts such a tie as a miss,
    for the raters did not agree on the acted emotion; the other rules stand beside it, so that
    their effect, up to six points for the voice, is in the open.

    Over all clips of CREMA-D ``plurality`` is 0.416 for the voice, 0.663 for the face and 0.722 for
    both, and ``votes`` 0.400, 0.574 and 0.631. The literature quotes 40.9, 58.2 and 63.6 % for
    single votes, which the published table does not reproduce.

    Args:
        rated: the clips.
        presentation: what the raters were shown.

    Returns:
        By name ``clips``, ``tied`` (fraction of clips), ``plurality``, ``plurality_tie_shared`` (a
        tie of k counts 1/k if the acted emotion is in it), ``plurality_tie_counts`` (it counts
        fully), ``plurality_untied`` (ties are left out) and ``votes`` (fraction of single votes).
        Rates are from 0 to 1.
    """
    counts = _count_votes(rated, presentation)
    hit, tied = counts["hit"], counts["leaders"] > 1
    return {
        "clips": len(counts),
        "tied": tied.mean(),
        "plurality": (hit & ~tied).mean(),
        "plurality_tie_shared": (hit / counts["leaders"]).mean(),
        "plurality_tie_counts": hit.mean(),
        "plurality_untied": hit[~tied].mean(),
        "votes": counts["right"].sum() / counts["cast"].sum(),
    }


def _count_votes(rated: Iterable[Rated], presentation: Presentation) -> pd.DataFrame:
    """Count the votes of each clip."""
    clips = list(rated)
    votes = pd.DataFrame([clip.votes[presentation] for clip in clips]).fillna(0)
    acted = pd.Series([clip.acted for clip in clips])
    own = pd.DataFrame({emotion: acted == emotion for emotion in votes})
    leaders = votes.eq(votes.max(axis=1), axis=0)
    return pd.DataFrame(
        {
            "hit": (leaders & own).any(axis=1),
            "leaders": leaders.sum(axis=1),
            "right": votes.where(own, 0).sum(axis=1),
            "cast": votes.sum(axis=1),
        }
    )
