"""The promises of every model, each checked by one short function over small random signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from contract.material import (
    POISONS,
    TASKS,
    Modality,
    Subject,
    accepts,
    assert_equal,
    assert_equal_where_observed,
    gradients,
    hidden,
    item,
    mixed,
    only,
    padded,
    poisoned,
    scores,
    shortened,
    steps_of,
    subsets,
    uneven,
)
from mien.errors import NothingPresent, OptionError, WeightError
from mien.models import Task
from mien.signals import Sequence, Signals


def check_contract(
    name: str,
    *,
    audio: int | tuple[int, ...] | None = 6,
    video: int | tuple[int, ...] | None = 5,
    audio_steps: int = 40,
    video_steps: int = 16,
    audio_hop: float = 0.1,
    video_hop: float = 0.25,
    sizes: Mapping[str, int] | None = None,
    more: Mapping[str, Modality] | None = None,
    tasks: tuple[str, ...] = tuple(TASKS),
    tolerance: float = 1e-5,
    **options: object,
) -> None:
    """Check every promise for each task that the model accepts.

    Args:
        name: of the model.
        audio: feature size or feature axes; None for a model without audio.
        video: the same for video.
        audio_steps: time steps; by default both modalities last four seconds.
        video_steps: time steps.
        audio_hop: seconds between steps.
        video_hop: seconds between steps.
        sizes: feature sizes to tell the model where they are not the last feature axis.
        more: further modalities.
        tasks: keys of `TASKS`.
        tolerance: largest difference between scores that should be equal, as a part of their
            scale where that is above one.
        options: of the model.
    """
    given = {"audio": (audio, audio_steps, audio_hop), "video": (video, video_steps, video_hop)}
    modalities = {
        modality: Modality(
            shape if isinstance(shape, tuple) else (shape,),
            steps,
            hop,
            (sizes or {}).get(modality),
        )
        for modality, (shape, steps, hop) in given.items()
        if shape is not None
    } | dict(more or {})
    subject = Subject(name, modalities, options, tolerance)
    accepted = [TASKS[task] for task in tasks if accepts(subject, TASKS[task])]
    assert accepted, f"{name} accepts no task at all"
    for task in accepted:
        for check in CHECKS:
            try:
                check(subject, task)
            except AssertionError as error:
                words = f"{name}, {task.kind} per {task.per}, {check.__name__}: {error}"
                raise AssertionError(words) from error


def gives_the_promised_shape(subject: Subject, task: Task) -> None:
    model, whole = subject.create(task), subject.signals()
    for case, signals in (("as long as each other", whole), *uneven(whole)):
        found = scores(model, signals)
        time = (steps_of(signals),) if task.per == "frame" else ()
        assert found.shape == (signals.batch, *time, len(task.names)), (case, tuple(found.shape))
        assert found.dtype == torch.float32


def is_finite_for_each_subset(subject: Subject, task: Task) -> None:
    model, whole = subject.create(task), subject.signals()
    for names in subsets(tuple(whole)):
        signals = only(whole, names)
        found = scores(model, signals)
        time = (steps_of(signals),) if task.per == "frame" else ()
        assert found.shape == (signals.batch, *time, len(task.names)), (names, tuple(found.shape))
        assert bool(found.isfinite().all()), f"only {names}: not finite"
        lost = tuple(set(whole) - set(names))
        withheld = scores(model, poisoned(hidden(whole, lost), float("nan")))
        assert bool(withheld.isfinite().all()), f"without {lost}: not finite"
        if task.per == "clip":
            assert_equal(subject, withheld, found, f"{lost} hidden rather than left out")


def is_finite_for_the_shortest(subject: Subject, task: Task) -> None:
    model = subject.create(task)
    for steps in (1, 2, 3):
        sequences = {
            name: Sequence(s.values[:, :steps], s.valid[:, :steps], s.hop)
            for name, s in subject.signals(batch=1).items()
        }
        for names in subsets(tuple(sequences)):
            found = scores(model, only(Signals(sequences), names))
            assert bool(found.isfinite().all()), f"{steps} steps of {names}: not finite"


def ignores_values_that_are_not_valid(subject: Subject, task: Task) -> None:
    model, signals = subject.create(task), subject.signals()
    for case, clean in (("complete", signals), ("mixed", mixed(signals))):
        expected = scores(model, clean)
        for poison in POISONS:
            found = scores(model, poisoned(clean, poison))
            assert_equal(subject, found, expected, f"{case} batch, {poison} under valid=False")


def takes_plain_tensors(subject: Subject, task: Task) -> None:
    """Where a NaN is what was not observed, and all modalities last equally long."""
    model, signals = subject.create(task), mixed(subject.signals())
    plain = {name: s.values for name, s in poisoned(signals, float("nan")).items()}
    with torch.no_grad():
        found = model(plain).scores
    assert_equal(subject, found, scores(model, signals), "plain tensors")


def ignores_padding(subject: Subject, task: Task) -> None:
    model, whole = subject.create(task), subject.signals()
    short = [mixed(signals) for _, signals in uneven(whole)]
    for signals in [mixed(whole), *short, *(only(whole, n) for n in subsets(tuple(whole)))]:
        expected, found = scores(model, signals), scores(model, padded(signals, float("nan")))
        assert bool(found.isfinite().all()), "padding makes scores that are not finite"
        words = f"padding behind {', '.join(signals)}"
        assert_equal_where_observed(subject, task, found, expected, signals, words)


def treats_each_item_alone(subject: Subject, task: Task) -> None:
    model, signals = subject.create(task), subject.signals()
    some = [(f"mixed, {case}", mixed(short)) for case, short in uneven(signals)]
    for case, batch in (("complete", signals), ("mixed", mixed(signals)), *some):
        together = scores(model, batch)
        for index in range(batch.batch):
            alone = scores(model, item(batch, index))
            words = f"item {index} of the {case} batch alone"
            assert_equal(subject, together[index : index + 1], alone, words)


def is_deterministic_and_leaves_its_input(subject: Subject, task: Task) -> None:
    model, signals = subject.create(task), subject.signals()
    before = {name: (s.values.clone(), s.valid.clone()) for name, s in signals.items()}
    first, second = scores(model, signals), scores(model, signals)
    assert torch.equal(first, second), "two runs differ"
    for name, sequence in signals.items():
        assert torch.equal(sequence.values, before[name][0]), f"{name}: values were changed"
        assert torch.equal(sequence.valid, before[name][1]), f"{name}: valid was changed"


def listens_to_each_modality(subject: Subject, task: Task) -> None:
    # Fresh deep networks answer almost the same to everything until batch statistics stretch it.
    def answer(training: bool, given: Signals) -> Tensor:
        torch.manual_seed(3)
        return scores(subject.create(task).train(training), given)

    signals = subject.signals()
    before = {training: answer(training, signals) for training in (False, True)}
    for name, sequence in signals.items():
        changed = replace(sequence, values=sequence.values.flip(0) * 1.5 + 0.5)
        other = Signals({**signals, name: changed})
        changes = [float((answer(t, other) - found).abs().max()) for t, found in before.items()]
        assert max(changes) > 1e-7, f"{name} changes nothing"


def ignores_what_it_does_not_know(subject: Subject, task: Task) -> None:
    model, signals = subject.create(task), subject.signals()
    stranger = Sequence(torch.randn(4, 9, 3), torch.ones(4, 9, dtype=torch.bool), 0.5)
    expected = scores(model, signals)
    found = scores(model, Signals({**signals, "stranger": stranger}))
    assert_equal(subject, found, expected, "an unknown modality")


def gives_every_parameter_a_gradient(subject: Subject, task: Task) -> None:
    model, signals = subject.create(task), subject.signals()
    # In training a bias before batch normalisation has none, in evaluation an auxiliary loss may
    # be off: what counts is that every parameter learns in one of the two.
    learning: set[str] = set()
    for training in (False, True):
        found = gradients(model.train(training), task, signals)
        for name, gradient in found.items():
            if gradient is not None:
                assert bool(gradient.isfinite().all()), f"{name}: gradient is not finite"
                if bool((gradient != 0).any()):
                    learning.add(name)
    lost = sorted(set(found) - learning)
    assert not lost, f"no gradient for {', '.join(lost)}"


def learns_from_incomplete_items(subject: Subject, task: Task) -> None:
    model = subject.create(task)
    whole = subject.signals()
    for signals in (mixed(whole), *(only(whole, names) for names in subsets(tuple(whole)))):
        clean = gradients(model.eval(), task, signals)
        dirty = gradients(model.eval(), task, poisoned(signals, float("nan")))
        for name, gradient in dirty.items():
            expected = clean[name]
            assert (gradient is None) == (expected is None), f"{name}: gradient comes and goes"
            if gradient is not None and expected is not None:
                why = f"gradient of {name} with NaN under valid=False, given {', '.join(signals)}"
                assert_equal(subject, gradient, expected, why)
        for name, gradient in gradients(model.train(), task, poisoned(signals, 1e30)).items():
            if gradient is not None:
                assert bool(gradient.isfinite().all()), f"{name}: not finite in training"


def trains_on_values_that_are_valid_only(subject: Subject, task: Task) -> None:
    """In training too: no batch statistic may contain what was not observed."""
    signals = mixed(subject.signals())
    states = []
    for poison in (0.0, 100.0):
        model = subject.create(task).train()
        torch.manual_seed(3)
        model(poisoned(signals, poison))
        states.append({k: v for k, v in model.state_dict().items() if v.is_floating_point()})
    for name, value in states[0].items():
        assert_equal(subject, states[1][name], value, f"{name} after one training step")


def keeps_its_numbers_in_a_file(subject: Subject, task: Task) -> None:
    model, signals = subject.create(task), mixed(subject.signals())
    again = subject.create(task, seed=11)
    again.load_state_dict(load(save(model.state_dict())), strict=True)
    assert torch.equal(scores(again, signals), scores(model, signals))


def does_not_mind_the_order_of_its_modalities(subject: Subject, task: Task) -> None:
    """Or says so, where the order means something."""
    model, signals = subject.create(task), mixed(subject.signals())
    other = replace(subject, modalities=dict(reversed(subject.modalities.items()))).create(task, 11)
    if model.ordered and len(subject.modalities) > 1:
        with pytest.raises(WeightError, match="asks"):
            other.load_state_dict(model.state_dict(), strict=True)
        return
    other.load_state_dict(model.state_dict(), strict=True)
    assert_equal(subject, scores(other, signals), scores(model, signals), "another order")


def takes_what_has_no_step_as_missing(subject: Subject, task: Task) -> None:
    model, signals = subject.create(task), subject.signals()
    names = tuple(signals)
    for name in names if len(names) > 1 else ():
        rest = tuple(other for other in names if other != name)
        found = scores(model, shortened(signals, (name,), 0))
        assert_equal(subject, found, scores(model, only(signals, rest)), f"{name} without a step")
    with pytest.raises(NothingPresent):
        model(shortened(signals, names, 0))


def refuses_another_number_of_features(subject: Subject, task: Task) -> None:
    model, signals = subject.create(task), subject.signals()
    for name, modality in subject.modalities.items():
        if len(modality.shape) > 1:
            continue  # pictures have no number of features
        for values in (signals[name].values.repeat(1, 1, 2), signals[name].values[..., :-1]):
            changed = replace(signals[name], values=values)
            with pytest.raises(OptionError, match=f"{name} has {values.shape[-1]} features"):
                model(Signals({**signals, name: changed}))


def says_when_nothing_is_present(subject: Subject, task: Task) -> None:
    model, signals = subject.create(task), subject.signals()
    names = tuple(signals)
    stranger = Sequence(torch.randn(4, 9, 3), torch.ones(4, 9, dtype=torch.bool), 0.5)
    for empty in (
        Signals({}),
        Signals({"stranger": stranger}),
        hidden(signals, names),
        hidden(signals, names, slice(2, 3)),
        hidden(only(signals, names[:1]), names[:1], slice(0, 1)),
    ):
        with pytest.raises(NothingPresent):
            model(empty)


def works_with_one_modality(subject: Subject, task: Task) -> None:
    """Where the model can be built for a single one, which it may refuse."""
    for name in subject.modalities if len(subject.modalities) > 1 else ():
        single = replace(subject, modalities={name: subject.modalities[name]})
        if accepts(single, task):
            is_finite_for_each_subset(single, task)
            treats_each_item_alone(single, task)
            gives_every_parameter_a_gradient(single, task)


CHECKS = (
    gives_the_promised_shape,
    is_finite_for_each_subset,
    is_finite_for_the_shortest,
    ignores_values_that_are_not_valid,
    takes_plain_tensors,
    ignores_padding,
    treats_each_item_alone,
    is_deterministic_and_leaves_its_input,
    listens_to_each_modality,
    ignores_what_it_does_not_know,
    gives_every_parameter_a_gradient,
    learns_from_incomplete_items,
    trains_on_values_that_are_valid_only,
    keeps_its_numbers_in_a_file,
    does_not_mind_the_order_of_its_modalities,
    takes_what_has_no_step_as_missing,
    refuses_another_number_of_features,
    says_when_nothing_is_present,
    works_with_one_modality,
)
