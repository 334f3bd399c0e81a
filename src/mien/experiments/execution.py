"""Executing a run: train as far as that was not done before, measure, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial

import pandas as pd
import torch
from lightning_fabric import Fabric

from mien.card import Card
from mien.datasets import Example
from mien.evaluation.measures import METRICS, measure
from mien.evaluation.predict import Answers, predict
from mien.evaluation.protocols import Row, Subject
from mien.experiments.data import RunData
from mien.experiments.fingerprint import digest
from mien.experiments.post import fit_post_processing
from mien.experiments.predictions import tabulate_predictions
from mien.experiments.runs import RunFolder, RunNote, RunSpec
from mien.formats import write_atomically, write_text
from mien.missing import Operation, Withhold, hide_important, measure_importance
from mien.models import MODELS, Model, create_model
from mien.trained import DEFAULT_WINDOW_S, TrainedModel, load_model
from mien.training import Plan, TrainingResult, set_criterion, train

Progress = Callable[[float], None]


def execute(
    run: RunSpec,
    fabric: Fabric | None = None,
    on_progress: Progress | None = None,
    *,
    force: bool = False,
) -> RunFolder:
    """Train and measure a run, as far as that was not done before.

    Args:
        run: which.
        fabric: launched; one process on the CPU where None.
        on_progress: is told the fraction of the training that is done.
        force: train again in any case.

    Returns:
        The run's folder.

    Raises:
        MienError: the data or an option is not as it should be.
    """
    folder, state = run.folder, run.inspect()
    if state.done and not force:
        return folder
    folder.path.mkdir(parents=True, exist_ok=True)
    data = RunData.load(run.dataset, run.places, run.fold)
    note = run.note()
    if state.trained and not force:
        model = load_model(folder.model).model
        model.to("cpu" if fabric is None else fabric.device)
        old = folder.read_note()
        note = note.model_copy(update={"epoch": old.epoch if old else None})
    else:
        model = build_model(run, data)
        note = _train(run, model, data, note, fabric, on_progress, force=force)
    if fabric is not None and not fabric.is_global_zero:
        return folder  # the first process measures and writes
    if run.fold is not None:
        note = _measure(run, model.eval(), data, note)
    folder.write_note(note)
    folder.checkpoint.unlink(missing_ok=True)
    return folder


def build_model(run: RunSpec, data: RunData) -> Model:
    """Build the run's model with fresh weights, for the features of its data."""
    shape = data.dataset.shape()
    sizes = dict(shape.sizes)
    for example in data.train:
        sizes |= {n: s.values[0, 0].numel() for n, s in example.signals.items()}
    sizes |= run.model.sizes
    wanted = run.model.modalities or tuple(sizes)
    torch.manual_seed(run.seed)
    return create_model(
        run.model.model,
        task=data.dataset.task(),
        modalities={name: sizes[name] for name in wanted},
        **run.model.options,
    )


def measure_run(run: RunSpec, model: Model, data: RunData) -> tuple[list[Row], Answers]:
    """Measure a trained model of a run on its test part.

    Args:
        run: with the experiment whose protocols are measured.
        model: in evaluation mode.
        data: of the run.

    Returns:
        The rows of all protocols, and the answers with everything present.
    """
    experiment, window = run.experiment, run.model.window
    post = fit_post_processing(experiment.post_processing, model, data.train, window)
    subject = Subject(
        model,
        [example for example in data.test if _is_usable(example, model)],
        experiment.metrics,
        run.seed,
        data.list_variants(),
        window,
        post,
        data.load_ratings,
    )
    rows = [row for protocol in experiment.protocols for row in protocol.measure(subject)]
    return rows, post(predict(model, data.test, window=window))


def _train(
    run: RunSpec,
    model: Model,
    data: RunData,
    note: RunNote,
    fabric: Fabric | None,
    on_progress: Progress | None,
    *,
    force: bool,
) -> RunNote:
    """Train the model and write it; the note says the best epoch."""
    folder = run.folder
    first = fabric is None or fabric.is_global_zero
    if first:
        if force:
            folder.checkpoint.unlink(missing_ok=True)
        for old in (folder.model, folder.results, folder.predictions):
            old.unlink(missing_ok=True)  # a result must not outlive what it was made of
        folder.write_note(note)
    result = _fit(run, model, data, note, fabric, on_progress)
    if first:
        _wrap(run, model, data, note).save(folder.model)
    note = note.model_copy(update={"epoch": result.best_epoch, "trained_clips": len(data.train)})
    if first:
        folder.write_note(note)
    return note


def _fit(
    run: RunSpec,
    model: Model,
    data: RunData,
    note: RunNote,
    fabric: Fabric | None,
    on_progress: Progress | None,
) -> TrainingResult:
    examples = data.build_training_set(run.treatment.unpaired, run.treatment.extra, run.seed)
    score = partial(_score, run.training.select, data.dev, run.model.window) if data.dev else None
    plan = Plan(
        [example for example in examples if _is_usable(example, model)],
        run.training,
        run.seed,
        score,
        operation=_choose_operation(run, data),
        folder=run.folder.path,
        fingerprint=digest(note.fingerprint),
        restart=True,
        on_progress=on_progress,
    )
    return train(model, plan, fabric)


def _wrap(run: RunSpec, model: Model, data: RunData, note: RunNote) -> TrainedModel:
    """Put a model together with everything that its answers depend on."""
    dataset = data.dataset
    specs = {name: one.spec() for name, one in dataset.extractors().items()}
    return TrainedModel(
        run.model.model,
        model,
        {name: specs[name] for name in model.modalities},
        run.model.options,
        data.standardisation,
        dataset.offset,
        window=DEFAULT_WINDOW_S if model.task.per == "clip" else None,
        frame_window=run.model.window,
        card=Card(
            description=f"A run of {run.experiment.name}: {run.model.name}, trained with "
            f"{run.treatment.label}, "
            + ("on everybody." if run.fold is None else f"fold {run.fold}, seed {run.seed}."),
            data=dataset.note,
            people=len({example.person for example in data.train}),
            paper=MODELS[run.model.model].paper,
            fingerprint=digest(note.fingerprint),
        ),
    )


def _measure(run: RunSpec, model: Model, data: RunData, note: RunNote) -> RunNote:
    """Measure the test part and write predictions and results."""
    folder = run.folder
    rows, answers = measure_run(run, model, data)
    table = tabulate_predictions(model.task, data.test, answers)
    write_atomically(folder.predictions, lambda file: table.to_parquet(file, index=False))
    write_text(folder.results, pd.DataFrame([asdict(row) for row in rows]).to_csv(index=False))
    return note.model_copy(
        update={
            "measured": dict(run.fingerprint_measures()),
            "trained_clips": len(data.train),
            "tested_clips": len(data.test),
            "tested_people": tuple(sorted({example.person for example in data.test})),
        }
    )


def _is_usable(example: Example, model: Model) -> bool:
    """Whether a model has anything to learn from an example."""
    return any(bool(example.signals.present(name).any()) for name in model.modalities)


def _score(metric: str, dev: Sequence[Example], window: int | None, model: Model) -> float:
    answers = predict(model, dev, window=window)
    scores, kind = answers.scores.nan_to_num(), model.task.kind
    value = measure(metric, scores, answers.labelled, kind=kind)
    return value if METRICS[metric].higher_is_better else -value


def _choose_operation(run: RunSpec, data: RunData) -> Operation | None:
    hiding, base = run.treatment.hide_important, run.base
    if run.treatment.operation is not None:
        return run.treatment.operation.create()
    if hiding is None or base is None:
        return None
    model = load_model(execute(base).model).model
    set_criterion(model, base.training)
    losses = _measure_losses(model, data.dev or data.train, base.model.window)
    rises = measure_importance(losses.pop(""), losses)
    rising = {name: rise for name, rise in rises.items() if rise > hiding.above}
    if not rising:
        return None
    return hide_important(rising, probability=hiding.each.get(len(rising), 1 / (len(rising) + 1)))


@torch.inference_mode()
def _measure_losses(
    model: Model, examples: Sequence[Example], window: int | None
) -> dict[str, float]:
    """Measure the loss with everything (under the empty name) and without each modality."""
    out = {}
    for hidden in ("", *model.modalities):
        away = Withhold((hidden,)) if hidden else None
        answers = predict(model, examples, operation=away, window=window)
        out[hidden] = float(model.criterion(answers.scores.nan_to_num(), answers.labelled, None))
    return out
