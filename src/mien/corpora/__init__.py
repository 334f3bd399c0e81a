"""Corpora: which clips there are, who is in them, and what they are labelled with."""

from mien.corpora._base import Clip, people
from mien.corpora.java_sed import java_sed_clips, java_sed_voices
from mien.corpora.ravdess import ravdess_voices

__all__ = ["Clip", "java_sed_clips", "java_sed_voices", "people", "ravdess_voices"]
