"""SFAV: official numbers, counts, the contract, and what it does with zeros, holes and crops."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from contract.contract import check_contract
from golden.check import check_file
from golden.outputs import compute_outputs
from mien.errors import OptionError, WeightError
from mien.models import Task, create_model, from_official
from mien.models._official import OFFICIAL
from mien.models.efficientface import EfficientFace
from mien.models.sfav import TAKEN, IntermediateAttention
from mien.signals import Sequence, Signals

NAMES = ("sfav_ia", "sfav_it", "sfav_lt")
WIDTHS = {"audio": (4, 6, 8, 6), "video": (4, 6, 8, 6)}
EIGHT = Task("categories", tuple("abcdefgh"))
FEATURES = {"audio": 10, "video": 1024}


def sequence(values, valid=None, hop=0.1):
    every = torch.ones(values.shape[:2], dtype=torch.bool)
    return Sequence(values, every if valid is None else valid, hop)


def small(name="sfav_ia", task=EIGHT, modalities=None, seed=0, **options):
    torch.manual_seed(seed)
    modalities = modalities or {"audio": 3, "video": 4}
    return create_model(name, task=task, modalities=modalities, widths=WIDTHS, **options).eval()


def parameters(golden_folder, name):
    stored = load_file(golden_folder / f"{name}.safetensors")
    return {k.removeprefix("param/"): v.float() for k, v in stored.items() if k[:6] == "param/"}


# ------------------------------------------------------------------ official numbers


@pytest.mark.parametrize("file", ["sfav_ia", "sfav_ia_h4", "sfav_it", "sfav_lt"])
def test_official_numbers(golden_folder, file):
    rows = check_file(golden_folder / f"{file}.safetensors")
    assert len(rows) >= 6
    assert [row for row in rows if not row.good] == []


@pytest.mark.parametrize(
    ("name", "official", "dead"),
    [
        # Dead: two unimodal classifiers; of attention fusion also value and output projections.
        ("sfav_lt", 777_432, 2 * 1_032),
        ("sfav_it", 670_296, 2 * 1_032),
        ("sfav_ia", 586_648, 22_736 + 16_384),
    ],
)
def test_parameters_as_in_the_official_code(name, official, dead):
    model = create_model(name, task=EIGHT, modalities=FEATURES)
    assert sum(p.numel() for p in model.parameters()) == official - dead


def test_parameters_with_the_backbone():
    model = create_model("sfav_lt", task=EIGHT, modalities=FEATURES, backbone="efficientface")
    assert sum(p.numel() for p in model.parameters()) == 2_045_550 - 2 * 1_032


def test_dead_weights_are_dropped_by_name_and_strangers_refused(golden_folder):
    state = parameters(golden_folder, "sfav_ia")
    dead = {
        "audio_model.classifier_1.0.weight": torch.zeros(8, 128),
        "visual_model.classifier_1.0.bias": torch.zeros(8),
        "av1.proj.weight": torch.zeros(128, 128),
        "va1.proj.bias": torch.zeros(64),
        "visual_model.conv1d_0.1.num_batches_tracked": torch.tensor(3),
    }
    assert isinstance(from_official("sfav_ia", {**state, **dead}), IntermediateAttention)
    for stranger in ("av1.norm1_q.weight", "audio_model.conv1d_4.0.weight", "other"):
        with pytest.raises(WeightError, match="unknown parameter"):
            from_official("sfav_ia", {**state, stranger: torch.zeros(1)})
    with pytest.raises(WeightError):
        from_official("sfav_it", state)
    del state["va1.kv.weight"]
    with pytest.raises(WeightError, match=r"fusion\.video\.keys"):
        from_official("sfav_ia", state)


OFFICIAL_BLOCK = {
    "normalise_queries": "norm1_q",
    "normalise_keys": "norm1_k",
    "attention.queries": "attn.q",
    "attention.keys_values": "attn.kv",
    "attention.output": "attn.proj",
    "normalise": "norm2",
    "perceptron.0": "mlp.fc1",
    "perceptron.2": "mlp.fc2",
    "queries": "q",
    "keys": "kv",
}


def official_state(name, model):
    """The state of a model under official names, written out independently."""
    state = {}
    for key, value in model.state_dict().items():
        part, _, rest = key.partition(".")
        inner, _, kind = rest.rpartition(".")
        if part == "stages" and kind != "num_batches_tracked":
            stage, modality, place, layer = inner.split(".")
            branch = "audio_model" if modality == "audio" else "visual_model"
            order = ("convolution", "normalise").index(layer)
            state[f"{branch}.conv1d_{2 * int(stage) + int(place)}.{order}.{kind}"] = value
        elif part == "fusion":
            modality, _, layer = inner.partition(".")
            block = ("av" if modality == "audio" else "va") + ("" if name == "sfav_lt" else "1")
            unused = [torch.full_like(value, 3.0)] if layer == "keys" else []  # values
            state[f"{block}.{OFFICIAL_BLOCK[layer]}.{kind}"] = torch.cat([value, *unused])
        elif part == "classifier":
            state[f"classifier_1.0.{rest}"] = value
    return state


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [3, 8])
def test_any_size_comes_from_the_shapes(name, classes):
    task = Task("categories", tuple("abcdefgh"[:classes]))
    options = {} if name == "sfav_ia" else {"ratio": 3}
    model = small(name, task=task, heads=2, **options)
    loaded = from_official(name, official_state(name, model), num_heads=2)
    inputs = {"audio": torch.randn(2, 3, 19), "video": torch.randn(2, 7, 4)}
    run = partial(compute_outputs, name)
    with torch.no_grad():
        for key, value in run(model, inputs).items():
            assert torch.equal(run(loaded, inputs)[key], value), key


def test_a_whole_checkpoint_brings_its_backbone(golden_folder):
    faces = parameters(golden_folder, "efficientface")
    backbone = {f"visual_model.{key}": value for key, value in faces.items() if key[:3] != "fc."}
    state = parameters(golden_folder, "sfav_lt")
    model = from_official("sfav_lt", {**state, **backbone}, num_heads=1)
    features = from_official("sfav_lt", state, num_heads=1)
    network = from_official("efficientface", faces)
    crops, audio = torch.rand(1, 2, 3, 224, 224), torch.randn(1, 40, 10)
    with torch.no_grad():
        described = network.describe(crops[0])[None]
        expected = features(Signals({"audio": sequence(audio), "video": sequence(described)}))
        found = model(Signals({"audio": sequence(audio), "video": sequence(crops)}))
        black = network.describe(torch.zeros(1, 3, 224, 224)).expand(1, 15, -1)
        dark = features(Signals({"audio": sequence(audio), "video": sequence(black)}))
        alone = model(Signals({"audio": sequence(audio)}))
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(alone.scores, dark.scores, atol=1e-4, rtol=1e-4)


# ------------------------------------------------------------------ the contract


@pytest.mark.parametrize("name", NAMES)
def test_contract_with_heads_and_output_block(name):
    options = {} if name == "sfav_ia" else {"residual": True, "ratio": 3}
    check_contract(
        name,
        widths=WIDTHS,
        heads=2,
        output_block=True,
        missing_steps={"audio": 20, "video": 4},
        tasks=("categories, clip", "dimensions, frame"),
        **options,
    )


@pytest.mark.parametrize("missing_frame", ["zeros", "black"])
def test_contract_from_face_crops(missing_frame):
    check_contract(
        "sfav_ia",
        video=(3, 16, 16),
        video_steps=4,
        video_hop=1.0,
        sizes={"video": 1024},
        tasks=("categories, clip",),
        tolerance=1e-4,
        widths=WIDTHS,
        backbone="efficientface",
        missing_frame=missing_frame,
    )


# ------------------------------------------------------------------ missing input


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_modality_is_zeros_of_the_length_of_the_papers_clips(name):
    model = small(name, missing_steps={"audio": 30, "video": 6})
    audio, video = torch.randn(2, 30, 3), torch.randn(2, 6, 4)
    both = Signals({"audio": sequence(audio), "video": sequence(torch.zeros(2, 6, 4), hop=0.5)})
    alone = Signals({"audio": sequence(audio)})
    torch.testing.assert_close(model(alone).scores, model(both).scores)
    both = Signals({"audio": sequence(torch.zeros(2, 30, 3)), "video": sequence(video, hop=0.5)})
    alone = Signals({"video": sequence(video, hop=0.5)})
    torch.testing.assert_close(model(alone).scores, model(both).scores)


def test_attention_fusion_gives_zeroed_audio_without_biases_constant_weights():
    """Section III-C: zeros make the similarities zero, so all steps weigh the same."""
    model = small()
    audio = sequence(torch.zeros(1, 30, 3))
    video = sequence(torch.randn(1, 6, 4), hop=0.5)
    with torch.no_grad():
        for module in model.stages[0]["audio"]:
            module.convolution.bias.zero_()
            module.normalise.bias.zero_()
        weights = model(Signals({"audio": audio, "video": video})).attention
    torch.testing.assert_close(weights["video"], torch.full((1, 6), 24 / 6))
    torch.testing.assert_close(weights["audio"], torch.full((1, 24), 6 / 24))


def test_attention_weights_sum_to_the_number_of_observed_queries():
    model = small(heads=2)
    valid = torch.ones(1, 9, dtype=torch.bool)
    valid[0, 6:] = False
    signals = Signals(
        {
            "audio": sequence(torch.randn(1, 26, 3)),
            "video": sequence(torch.randn(1, 9, 4), valid, 0.3),
        }
    )
    weights = model(signals).attention
    assert weights["audio"].shape == (1, 20)
    torch.testing.assert_close(weights["audio"].sum(), torch.tensor(6.0))
    torch.testing.assert_close(weights["video"].sum(), torch.tensor(20.0))
    assert torch.equal(weights["video"][0, 6:], torch.zeros(3))


def test_short_audio_is_filled_up_with_zeros():
    model = small()
    audio, video = torch.randn(1, 5, 3), sequence(torch.randn(1, 4, 4), hop=0.5)
    full = torch.cat([audio, torch.zeros(1, TAKEN + 1 - 5, 3)], dim=1)
    expected = model(Signals({"audio": sequence(full), "video": video})).scores
    found = model(Signals({"audio": sequence(audio), "video": video})).scores
    torch.testing.assert_close(found, expected)


def test_frames_follow_the_sound_that_they_are_of():
    """A step's scores see the branch's step whose middle it is, six steps to either side."""
    task = Task("dimensions", ("arousal",), "frame")
    model = small(task=task, modalities={"audio": 3})
    audio = torch.randn(1, 60, 3)
    other = audio.clone()
    other[0, 30] += 5
    scores = [model(Signals({"audio": sequence(x)})).scores for x in (audio, other)]
    changed = (scores[0] != scores[1])[0, :, 0].nonzero().flatten().tolist()
    assert changed
    assert min(changed) >= 24
    assert max(changed) <= 36


# ------------------------------------------------------------------ face crops


class Counting(EfficientFace):
    """A backbone that remembers how many pictures it was shown."""

    def __init__(self):
        super().__init__(classes=None, widths=(4, 4, 8, 8, 6), units=(1, 1, 1), hidden=2, dilated=1)
        self.seen = []

    def describe(self, images):
        self.seen.append(len(images))
        return super().describe(images)


def crops_model(**options):
    backbone = Counting()
    return small(modalities={"audio": 3, "video": 6}, backbone=backbone, **options), backbone


def test_the_backbone_sees_only_what_was_observed():
    model, backbone = crops_model()
    valid = torch.tensor([[True, True, False], [False] * 3, [True, False, False]])
    faces = sequence(torch.rand(3, 3, 3, 32, 32), valid)
    signals = Signals({"audio": sequence(torch.randn(3, 20, 3)), "video": faces})
    model(signals)
    assert backbone.seen == [3]
    described = model.describe(signals)
    assert described["video"].values.shape == (3, 3, 6)
    torch.testing.assert_close(model(described).scores, model(signals).scores)
    backbone.seen.clear()
    model(described)
    model(Signals({"audio": signals["audio"], "video": faces.hide()}))
    assert backbone.seen == []


def test_black_frames_are_seen_once_and_teach_no_statistics():
    model, backbone = crops_model(missing_frame="black")
    model.train()
    before = {k: v.clone() for k, v in backbone.named_buffers()}
    model(Signals({"audio": sequence(torch.randn(3, 20, 3))}))
    assert backbone.seen == [1]
    assert backbone.training
    for name, value in backbone.named_buffers():
        assert torch.equal(value, before[name])


# ------------------------------------------------------------------ refusals


def test_refusals():
    for modalities in ({"text": 3}, {"audio": 3, "text": 3}):
        with pytest.raises(OptionError, match="branch"):
            create_model("sfav_ia", task=EIGHT, modalities=modalities)
    with pytest.raises(OptionError, match="heads"):
        create_model("sfav_lt", task=EIGHT, modalities=FEATURES, heads=3)
    with pytest.raises(OptionError, match="backbone"):
        create_model("sfav_ia", task=EIGHT, modalities=FEATURES, backbone="resnet")
    with pytest.raises(OptionError, match="1024"):
        create_model("sfav_ia", task=EIGHT, modalities={"video": 512}, backbone="efficientface")
    with pytest.raises(OptionError, match="5 features"):
        small()(Signals({"audio": sequence(torch.zeros(1, 20, 5))}))


def test_official_names_are_registered():
    assert set(NAMES) <= set(OFFICIAL)
