import math

import pytest
import yaml
from hole_material import assert_same, seeded, whole

from mien.errors import OptionError
from mien.missing import (
    OPERATIONS,
    Burst,
    Chain,
    MaskFrames,
    ModalityDropout,
    NoiseWindows,
    Operation,
    Withhold,
    WithholdPerBatch,
    create_operation,
    register_operation,
)
from mien.plugins import load_plugin

OPTIONS = """
withhold: {modalities: [video]}
withhold_per_sample: {probabilities: {audio: 0.2, video: 0.2}, at_most: 1}
withhold_per_batch: {probabilities: {audio: 0.333, video: 0.333}}
modality_dropout: {kinds: [full, noisy_audio, noisy_video]}
mask_frames: {fraction: 0.3, modalities: [audio]}
noise_windows: {windows: up_to_half, seconds: 0.5, modalities: [audio, video]}
burst: {modality: video, seconds: 2}
keep_first: {seconds: 1.5}
chain: {operations: [{name: keep_first, seconds: 2}, {name: mask_frames, fraction: 0.5}]}
"""


def test_every_operation_is_made_from_yaml():
    asked = yaml.safe_load(OPTIONS)
    assert set(asked) == {name for name in OPERATIONS if not OPERATIONS.origin(name)}
    for name, options in asked.items():
        made = create_operation(name, **options)
        assert type(made) is OPERATIONS[name]
        assert made(whole(), seeded()).batch >= 4


def test_every_operation_can_be_had_by_name():
    def below(kind: type[Operation]) -> set[type[Operation]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    shipped = {k for k in below(Operation) if k.__module__.startswith("mien.")}
    assert {k for n, k in OPERATIONS.items() if not OPERATIONS.origin(n)} == shipped - {Operation}


def test_lists_of_yaml_and_tuples_of_python_are_the_same_operation():
    assert create_operation("withhold", modalities=["audio"]) == Withhold(("audio",))
    chain = create_operation("chain", operations=[{"name": "mask_frames", "fraction": 0.5}])
    assert chain == Chain((MaskFrames(0.5),))


def test_a_chain_does_one_after_the_other():
    chain = Chain((Burst("audio", 9.0), ModalityDropout(("full", "without_video"))))
    after, rows = chain.enlarge(whole(3), seeded())
    assert rows.tolist() == [0, 1, 2] * 2
    assert not after["audio"].valid.any()
    assert after["video"].valid.all()  # without audio, video is the only one
    twice, rows = Chain((ModalityDropout(("full", "soft")),) * 2).enlarge(whole(2), seeded())
    assert rows.tolist() == [0, 1] * 4
    assert twice.batch == 8


def test_a_chain_of_nothing_changes_nothing():
    assert_same(Chain(())(whole(), seeded()), whole())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("forget", {}, "no operation is called 'forget'; choose from burst, "),
        ("burst", {"modality": "audio"}, "burst needs seconds; give a value"),
        ("burst", {"length": 1}, "burst has no option 'length'; choose from modality, sec"),
        ("brust", {}, "no operation is called 'brust'; did you mean burst?"),
        ("burst", {"modality": "audio", "second": 1}, "did you mean seconds?"),
        ("burst", {"modality": "", "seconds": 1}, "modality names ''; a modality's name is"),
        ("burst", {"modality": "audio", "seconds": 0}, "seconds is 0"),
        ("burst", {"modality": "audio", "seconds": "2 s"}, "seconds is '2 s'; give a number"),
        ("burst", {"modality": "audio", "seconds": 1, "start": -1}, "start is -1"),
        ("withhold", {"modalities": "audio"}, "modalities is 'audio'; give a list of modalities"),
        ("withhold", {"modalities": ["au dio"]}, "modalities names 'au dio'"),
        ("withhold_per_sample", {"probabilities": {}}, "probabilities are empty"),
        ("withhold_per_sample", {"probabilities": [0.5]}, "give numbers by name"),
        ("withhold_per_sample", {"probabilities": {"audio": 0.5}, "at_most": 0}, "at_most is 0"),
        ("withhold_per_batch", {"probabilities": {"audio": 1.5}}, "audio is 1.5; give a number"),
        ("withhold_per_batch", {"probabilities": {"": 0.5}}, "names ''"),
        ("withhold_per_batch", {"probabilities": {"audio": 0.6, "video": 0.6}}, "add up to 1.2"),
        ("modality_dropout", {"kinds": ["half"]}, "give a list of full, soft, without_audio"),
        ("modality_dropout", {"kinds": []}, "give a list of full"),
        ("modality_dropout", {"kinds": "full"}, "give a list of full"),
        ("mask_frames", {"fraction": 1.1}, "fraction is 1.1; give a number from 0 to 1"),
        ("mask_frames", {"fraction": math.nan}, "fraction is nan"),
        ("mask_frames", {"fraction": True}, "fraction is True"),
        ("noise_windows", {"windows": 0, "seconds": 1}, "windows is 0; give a whole number"),
        ("noise_windows", {"windows": 1.5, "seconds": 1}, "windows is 1.5; give a whole number"),
        ("noise_windows", {"windows": "half", "seconds": 1}, "up_to_half"),
        ("noise_windows", {"windows": 1, "seconds": 1, "std": -1}, "std is -1"),
        ("noise_windows", {"windows": 1, "seconds": 1, "mean": math.inf}, "mean is inf"),
        ("keep_first", {"seconds": -1}, "seconds is -1"),
        ("chain", {"operations": "burst"}, "operations are no list"),
        ("chain", {"operations": [{"seconds": 1}]}, "is no operation; give its name"),
        ("chain", {"operations": [{"name": "burst"}]}, "burst needs modality, seconds"),
    ],
)
def test_what_makes_no_sense_says_what_would(name, options, message):
    with pytest.raises(OptionError) as caught:
        create_operation(name, **options)
    assert message in str(caught.value)


def test_shapes_of_python_are_checked_as_well():
    with pytest.raises(OptionError, match="fraction is 2"):
        MaskFrames(2)
    with pytest.raises(OptionError, match="add up to"):
        WithholdPerBatch({"audio": 1, "video": 1})
    with pytest.raises(OptionError, match="seconds is"):
        NoiseWindows(1, -0.5)


PLUGIN = """
from dataclasses import dataclass
from mien.missing import Operation, register_operation, withhold

@register_operation("keep_only")
@dataclass(frozen=True)
class KeepOnly(Operation):
    keep: str

    def __call__(self, signals, generator):
        return withhold(signals, set(signals) - {self.keep})
"""


def test_an_operation_of_a_plugin_is_one_like_the_others(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    load_plugin(file)
    assert OPERATIONS.origin("keep_only") == str(file)
    chain = create_operation("chain", operations=[{"name": "keep_only", "keep": "audio"}])
    after = chain(whole(), seeded())
    assert [name for name in after if after[name].valid.any()] == ["audio"]
    with pytest.raises(OptionError, match="did you mean keep"):
        create_operation("keep_only", kep="audio")


def test_only_dataclasses_that_take_away_are_operations():
    with pytest.raises(OptionError, match="no dataclass that derives from Operation"):
        register_operation("number")(int)
    with pytest.raises(OptionError, match="two entries are called 'burst'"):
        register_operation("burst")(Burst)
