import itertools
import re
from importlib import resources

import numpy as np
import pytest

from mien import schema
from mien.report.tones import LINES, TONES, choose_label_tones, choose_line_tones

# Machado, Oliveira and Fernandes (2009), severity 1.
BLINDNESS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "none": np.eye(3),
}


def colours(dark):
    style = resources.files("mien.report").joinpath("page.css").read_text("utf-8")
    light, darkened = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found | (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", darkened)) if dark else {})


def linear(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one, other):
    low, high = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


TONES_OF_EMOTIONS = list(choose_label_tones(schema.EMOTIONS).values())


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_all_tones_differ_in_colour_for_everyone(blindness, dark):
    matrix = np.array(BLINDNESS[blindness])
    points = [lab(matrix @ linear(colours(dark)[f"tone-{index}"])) for index in range(TONES)]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(points, 2)) > 15


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_emotions_differ_in_colour_for_everyone(blindness, dark):
    matrix = np.array(BLINDNESS[blindness])
    points = [lab(matrix @ linear(colours(dark)[tone])) for tone in TONES_OF_EMOTIONS]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(points, 2)]
    neighbours = [np.linalg.norm(a - b) for a, b in itertools.pairwise(points)]
    assert min(distances) > 20
    assert min(neighbours) > 35


@pytest.mark.parametrize("dark", [False, True])
def test_words_can_be_read(dark):
    found = colours(dark)
    for name in ("ink", "quiet", "accent"):
        assert contrast(found[name], found["paper"]) >= 4.5
    style = resources.files("mien.report").joinpath("page.css").read_text("utf-8")
    for tone in (f"tone-{index}" for index in range(TONES)):
        label = re.search(rf"\.{tone} \{{.*--label: var\(--([\w-]+)\)", style)[1]
        assert contrast(found[label], found[tone]) >= 4.5
    for line in range(LINES):
        assert contrast(found[f"line-{line}"], found["paper"]) >= 3


def test_tones_are_the_same_each_time_and_differ():
    tones = choose_label_tones(["mood:calm", "anger", "wide awake"])
    assert tones == {"mood:calm": "tone-0", "anger": "tone-4", "wide awake": "tone-1"}
    many = choose_label_tones([f"label {number}" for number in range(40)])
    assert len(set(list(many.values())[:TONES])) == TONES
    assert set(many.values()) == {f"tone-{index}" for index in range(TONES)}
    assert choose_line_tones(["dominance", "valence"]) == {
        "dominance": "line-0",
        "valence": "line-1",
    }
