"""The encoders of face and voice, loaded once and shared by all recordings."""

from __future__ import annotations

from functools import cached_property

from mien.features.activity import ActivityNetwork
from mien.features.faces import FaceReader, default_detector, default_encoder
from mien.features.voice import VoiceReader
from mien.features.whisper import WhisperEncoder


class DefaultReaders:
    """Makes a fresh reader of faces and one of voice for each recording.

    The networks behind them are loaded when they are first needed, so that a call that withholds
    the picture needs no face detector.
    """

    def face(self) -> FaceReader:
        """A reader that has seen nothing yet.

        Raises:
            WeightError: weights of the detector or the encoder cannot be had.
        """
        return self._face_reader.another()

    def voice(self) -> VoiceReader:
        """A reader that has heard nothing yet.

        Raises:
            WeightError: weights of the encoder or the activity detector cannot be had.
        """
        return VoiceReader(encoder=self._speech_encoder, activity=self._activity)

    @cached_property
    def _face_reader(self) -> FaceReader:
        return FaceReader(default_detector(), default_encoder())

    @cached_property
    def _speech_encoder(self) -> WhisperEncoder:
        return WhisperEncoder.pretrained()

    @cached_property
    def _activity(self) -> ActivityNetwork:
        return ActivityNetwork.pretrained()
