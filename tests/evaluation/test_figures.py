from __future__ import annotations

import sys
import threading
from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from mien.errors import OptionError, OutputError
from mien.evaluation import figures
from mien.evaluation._drawing import COLOURS
from mien.evaluation.statistics import Ranks

NAN = float("nan")


@pytest.fixture
def runs():
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        [
            (model, seed, level, 0.8 - 0.1 * place - 0.3 * level + generator.normal(0, 0.02))
            for place, model in enumerate(["VAVL", "SFAV", "MulT"])
            for seed in range(3)
            for level in (0.0, 0.5, 0.9)
        ],
        columns=["model", "seed", "withheld", "f1"],
    )


def drawings(runs):
    ranks = Ranks(pd.Series({"VAVL": 1.2, "SFAV": 1.9, "MulT": 2.9}), 9, 8.0, 0.02, 1.1, 0.05)
    layers = np.random.default_rng(1).normal(5, 0.1, (20, 6))
    layers[3] = NAN
    return {
        "degradation": figures.draw_degradation(
            runs, level="withheld", value="f1", by="model", labels=("fraction withheld", "macro F1")
        ),
        "confusion": figures.draw_confusion_matrix(np.array([[8, 2], [0, 0]]), ["neutral", "fear"]),
        "traces": figures.draw_traces(
            np.array([0.0, NAN, 1.0]), {"MulT": np.ones(3)}, hop=0.5, label="arousal"
        ),
        "entropy": figures.draw_entropy_by_layer({"audio": layers, "video": layers - 1}),
        "response": figures.draw_response_times(
            {"audio": np.array([2 / 3, 1 / 3]), "video": np.zeros(2)},
            ends=np.array([0.5, 1.0]),
            correct={"audio": 0.75, "video": 0.0},
        ),
        "ranks": figures.draw_critical_differences(ranks, title="ranks"),
    }


@pytest.fixture
def drawn(runs):
    return drawings(runs)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_same_numbers_give_the_same_bytes(runs, drawn, tmp_path, suffix):
    for name, figure in drawn.items():
        figures.save(figure, tmp_path / f"{name}_1.{suffix}")
    with mpl.rc_context({"font.size": 20.0, "axes.grid": False, "svg.hashsalt": "other"}):
        for name, figure in drawings(runs).items():
            figures.save(figure, tmp_path / f"{name}_2.{suffix}")
    for name in drawn:
        one, two = ((tmp_path / f"{name}_{i}.{suffix}").read_bytes() for i in (1, 2))
        assert one == two, name
        assert len(one) > 2000


def test_nothing_global_is_left_behind(runs, drawn, tmp_path):
    # Items of the dictionary below, for asking the settings for their backend chooses one.
    before = list(dict.items(mpl.rcParams))
    for figure in drawings(runs).values():
        figures.save(figure, tmp_path / "figure.png")
    assert list(dict.items(mpl.rcParams)) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_degradation_shows_means_and_deviations(runs, drawn):
    axes = drawn["degradation"].axes[0]
    assert [line.get_label() for line in axes.lines] == ["VAVL", "SFAV", "MulT"]
    vavl = runs[runs["model"] == "VAVL"].groupby("withheld")["f1"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), vavl.mean())
    edges = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx((vavl.mean() + vavl.std()).max())
    # Without any colour the lines still differ.
    assert len({(line.get_linestyle(), line.get_marker()) for line in axes.lines}) == 3


def test_confusion_is_in_per_cent_of_the_label(drawn):
    axes = drawn["confusion"].axes[0]
    assert [text.get_text() for text in axes.texts] == ["80", "20", "–", "–"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["neutral (10)", "fear (0)"]


def test_traces_break_where_labels_are_missing(drawn):
    gold = drawn["traces"].axes[0].lines[0]
    np.testing.assert_array_equal(gold.get_xdata(), [0, 0.5, 1.0])
    np.testing.assert_array_equal(gold.get_ydata(), [0, NAN, 1])


def test_response_times_count_what_was_correct(drawn):
    audio, video = drawn["response"].axes
    heights = [patch.get_height() for patch in audio.patches]
    assert heights == pytest.approx([200 / 3, 100 / 3])
    assert audio.get_title(loc="left") == "audio: 75 % correct"
    assert audio.texts[0].get_text() == "mean 0.67 s"
    assert video.get_title(loc="left") == "video: 0 % correct"


def test_entropy_means_over_the_clips_that_have_it(drawn):
    axes = drawn["entropy"].axes[0]
    assert np.isfinite(axes.lines[0].get_ydata()).all()
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), np.arange(1, 7))


def test_models_within_reach_are_joined(drawn):
    lines = drawn["ranks"].axes[0].lines
    joined = [line.get_xdata() for line in lines if line.get_linewidth() == 3.2]
    # 1.2 to 1.9 and 1.9 to 2.9 are within 1.1; 1.2 to 2.9 is not.
    assert [[round(float(x), 2) for x in ends] for ends in joined] == [[1.14, 1.96], [1.84, 2.96]]


def test_neighbouring_colours_differ_in_grey():
    grey = [np.dot(to_rgb(colour), (0.299, 0.587, 0.114)) for colour in COLOURS]
    assert np.abs(np.diff(grey)).min() > 0.1


def test_drawing_needs_no_main_thread(runs, tmp_path):
    path = tmp_path / "figure.svg"

    def draw():
        figures.save(
            figures.draw_degradation(
                runs, level="withheld", value="f1", by="model", labels=("", "")
            ),
            path,
        )

    worker = threading.Thread(target=draw)
    worker.start()
    worker.join()
    assert path.read_text().startswith("<?xml")


def test_what_cannot_be_drawn_or_written(runs, drawn, tmp_path):
    draw = partial(figures.draw_degradation, level="withheld", by="model", labels=("", ""))
    with pytest.raises(OptionError, match=r"\.png or \.svg"):
        figures.save(drawn["ranks"], tmp_path / "figure.jpg")
    with pytest.raises(OutputError, match="create the folder"):
        figures.save(drawn["ranks"], tmp_path / "nowhere" / "figure.png")
    with pytest.raises(OptionError, match="no column ccc"):
        draw(runs, value="ccc")
    with pytest.raises(OptionError, match="no row"):
        draw(runs[:0], value="f1")
    with pytest.raises(OptionError, match="names"):
        figures.draw_confusion_matrix(np.eye(2), ["neutral"])
    with pytest.raises(OptionError, match="length"):
        figures.draw_traces(np.zeros(3), {"MulT": np.zeros(4)}, hop=1.0, label="")
    with pytest.raises(OptionError, match="no response times"):
        figures.draw_response_times({}, ends=np.ones(1), correct={})
