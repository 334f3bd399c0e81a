"""Corpora: which clips there are, who is in them, and what they are labelled with."""

from mien.datasets._base import Clip, people
from mien.datasets.crema_d import (
    crema_d_actors,
    crema_d_clips,
    crema_d_voices,
    crema_d_votes,
    perceived,
)
from mien.datasets.examples import Example, segments
from mien.datasets.ferplus import ferplus_faces
from mien.datasets.java_sed import java_sed_clips, java_sed_voices
from mien.datasets.manifest import manifest_clips
from mien.datasets.mfn import MFN_NAMES, mfn_examples
from mien.datasets.mosei import MOSEI_NAMES, mosei_examples
from mien.datasets.msp_improv import msp_improv_clips, msp_improv_voices
from mien.datasets.ravdess import (
    RAVDESS_EMOTIONS,
    ravdess_clips,
    ravdess_examples,
    ravdess_faces,
    ravdess_voices,
)
from mien.datasets.recola import RECOLA_FEATURES, recola_examples
from mien.datasets.splits import (
    Fold,
    avec2016,
    folds_of_people,
    mater_folds,
    muse,
    official,
    rotating_folds,
    sfav_folds,
    vavl_partitions,
)
from mien.datasets.ulm_tsst import ULM_TSST_DIMENSIONS, ULM_TSST_FEATURES, ulm_tsst_examples

__all__ = [
    "MFN_NAMES",
    "MOSEI_NAMES",
    "RAVDESS_EMOTIONS",
    "RECOLA_FEATURES",
    "ULM_TSST_DIMENSIONS",
    "ULM_TSST_FEATURES",
    "Clip",
    "Example",
    "Fold",
    "avec2016",
    "crema_d_actors",
    "crema_d_clips",
    "crema_d_voices",
    "crema_d_votes",
    "ferplus_faces",
    "folds_of_people",
    "java_sed_clips",
    "java_sed_voices",
    "manifest_clips",
    "mater_folds",
    "mfn_examples",
    "mosei_examples",
    "msp_improv_clips",
    "msp_improv_voices",
    "muse",
    "official",
    "people",
    "perceived",
    "ravdess_clips",
    "ravdess_examples",
    "ravdess_faces",
    "ravdess_voices",
    "recola_examples",
    "rotating_folds",
    "segments",
    "sfav_folds",
    "ulm_tsst_examples",
    "vavl_partitions",
]
