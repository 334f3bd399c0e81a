"""Data sets: labelled recordings and features, who is in them, and how papers divide them.

One file for each data set, found by name in `DATASETS`; its readers are in its own module, as
`mien.datasets.java_sed.java_sed_clips`.
"""

from mien.datasets._base import Clip
from mien.datasets.dataset import (
    DATASETS,
    AnyDataSet,
    DataSet,
    Examples,
    Places,
    Progress,
    Shape,
    Unreadable,
    register_dataset,
)
from mien.datasets.examples import Example, cut_segments
from mien.datasets.splits import (
    Fold,
    avec2016,
    cross_validate,
    folds_of_people,
    mater_folds,
    muse,
    official,
    rotate_groups,
    rotating_folds,
    sfav_folds,
    vavl_partitions,
)
from mien.datasets.votes import PRESENTATIONS, Presentation, Rated
from mien.features.published import PublishedFeatures

__all__ = [
    "DATASETS",
    "PRESENTATIONS",
    "AnyDataSet",
    "Clip",
    "DataSet",
    "Example",
    "Examples",
    "Fold",
    "Places",
    "Presentation",
    "Progress",
    "PublishedFeatures",
    "Rated",
    "Shape",
    "Unreadable",
    "avec2016",
    "cross_validate",
    "cut_segments",
    "folds_of_people",
    "mater_folds",
    "muse",
    "official",
    "register_dataset",
    "rotate_groups",
    "rotating_folds",
    "sfav_folds",
    "vavl_partitions",
]
