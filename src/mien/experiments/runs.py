"""One run of an experiment: one model, one treatment, one fold, one seed.

A run has a folder: ``run.json`` says what it was, ``model.safetensors`` and
``standard.safetensors`` what it learned, ``log.csv`` how, ``predictions.parquet`` what it answered
to the test part, and ``results.csv`` what was measured. A run that was done is not done again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning_fabric import Fabric
from pydantic import TypeAdapter
from safetensors.torch import load_file, save

from mien.datasets import AnyDataSet, DataSet, Example, Places
from mien.errors import InputError
from mien.evaluation.measures import METRICS, measure
from mien.evaluation.predict import Answers, predict
from mien.evaluation.protocols import Row, Subject
from mien.experiments.material import Material, judged, material, spoilt, taught
from mien.experiments.post import fitted
from mien.experiments.predictions import said
from mien.experiments.spec import Experiment, ModelEntry, Treatment
from mien.formats import write_atomically, write_text
from mien.missing import Operation, Withhold, create_operation, hide_important, measure_importance
from mien.models import Model, create_model
from mien.training import CHECKPOINT, Plan, Settings, Training, set_criterion, train

RUN, WEIGHTS, STANDARD = "run.json", "model.safetensors", "standard.safetensors"
RESULTS, PREDICTIONS = "results.csv", "predictions.parquet"
Tell = Callable[[float], None]
_SOURCE: TypeAdapter[DataSet] = TypeAdapter(AnyDataSet)


@dataclass(frozen=True)
class Run:
    """What is run.

    Attributes:
        experiment: of which it is a part.
        entry: the model.
        treatment: how it is trained.
        fold: number of the fold, from 0.
        seed: of weights, order and noise.
        folder: of the experiment.
        places: where data is.
        made_up: whether generated examples stand in for the data.
    """

    experiment: Experiment
    entry: ModelEntry
    treatment: Treatment
    fold: int
    seed: int
    folder: Path
    places: Places
    made_up: bool = False

    @property
    def path(self) -> Path:
        """The run's own folder."""
        parts = (self.entry.called, self.treatment.label, f"fold{self.fold}-seed{self.seed}")
        return self.folder.joinpath(*(re.sub(r"[^\w.+-]+", "_", part) for part in parts))

    @property
    def source(self) -> DataSet:
        """The data, with what the model's entry changes."""
        data = self.experiment.data
        return _SOURCE.validate_python({**data.model_dump(), **self.entry.data})

    @property
    def training(self) -> Training:
        """The settings, with what the model's entry changes."""
        return self.experiment.training_of(self.entry)

    @property
    def builds_on_another(self) -> bool:
        """Whether it asks the model of another run first."""
        return self.treatment.hide_important is not None

    def of(self, experiment: Experiment) -> Run:
        """The same run as part of another experiment."""
        return replace(self, experiment=experiment)

    def described(self) -> dict[str, Any]:
        """What decides about the weights, without defaults, so that new ones change nothing."""
        return {
            "experiment": self.experiment.name,
            "data": {"name": self.source.name, **_said(self.source)},
            "entry": _said(self.entry),
            "treatment": _said(self.treatment),
            "training": _said(self.training),
            "fold": self.fold,
            "seed": self.seed,
            "made_up": self.made_up,
        }

    def measures(self) -> dict[str, Any]:
        """What decides about the results beside the weights."""
        post = self.experiment.post_processing
        return {
            "protocols": [{"name": p.name, **_said(p)} for p in self.experiment.protocols],
            "metrics": list(self.experiment.metrics),
            "post_processing": None if post is None else list(post.steps),
        }


def _said(settings: Settings) -> dict[str, Any]:
    return dict(settings.model_dump(mode="json", exclude_defaults=True))


def mark(described: object) -> str:
    """A digest of what something was made from."""
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


def built(run: Run, given: Material) -> Model:
    """The run's model with fresh weights, for the features of its material."""
    shape = run.source.shape()
    sizes = shape.sizes
    for example in given.train:
        sizes |= {n: s.values[0, 0].numel() for n, s in example.signals.items()}
    sizes |= run.entry.sizes
    wanted = run.entry.modalities or tuple(sizes)
    torch.manual_seed(run.seed)
    return create_model(
        run.entry.model,
        task=shape.task,
        modalities={name: sizes[name] for name in wanted},
        **run.entry.options,
    )


def done(run: Run) -> bool:
    """Whether the run's folder holds its results."""
    noted = _noted(run)
    return noted == (mark(run.described()), mark(run.measures())) and (run.path / RESULTS).exists()


def _noted(run: Run) -> tuple[str, str]:
    path = run.path / RUN
    if not path.exists():
        return "", ""
    note = json.loads(path.read_text())
    return note["trained"], note["measured"]


def execute(run: Run, fabric: Fabric | None = None, tell: Tell | None = None) -> Path:
    """Train and measure, as far as that was not done before.

    Args:
        run: which.
        fabric: launched; one process on the CPU where None.
        tell: is told the share of the training that is done.

    Returns:
        The run's folder.

    Raises:
        MienError: the data or an option is not as it should be.
    """
    if done(run):
        return run.path
    run.path.mkdir(parents=True, exist_ok=True)
    given = material(run)
    model = built(run, given)
    trained = _noted(run)[0] == mark(run.described()) and (run.path / WEIGHTS).exists()
    if trained:
        model.load_state_dict(load_file(run.path / WEIGHTS))
        model.to("cpu" if fabric is None else fabric.device)
    else:
        _learn(run, model, given, fabric, tell)
    if fabric is not None and not fabric.is_global_zero:
        return run.path  # the first process measures and writes
    _note(run, measured="")
    rows, answers = measured(run, model.eval(), given)
    table = said(model.task, given.test, answers)
    write_atomically(run.path / PREDICTIONS, lambda file: table.to_parquet(file, index=False))
    results = pd.DataFrame([asdict(row) for row in rows]).to_csv(index=False)
    write_text(run.path / RESULTS, results)
    _note(run, measured=mark(run.measures()))
    (run.path / CHECKPOINT).unlink(missing_ok=True)
    return run.path


def _note(run: Run, measured: str) -> None:
    note = {"trained": mark(run.described()), "measured": measured, **run.described()}
    write_text(run.path / RUN, json.dumps({**note, "measures": run.measures()}, indent=2) + "\n")


def _learn(
    run: Run, model: Model, given: Material, fabric: Fabric | None, tell: Tell | None
) -> None:
    examples = [piece for example in taught(run, given) for piece in run.source.pieces(example)]
    usable = [e for e in examples if _usable(e, model)]
    select = run.training.select
    plan = Plan(
        usable,
        run.training,
        run.seed,
        partial(_score, select, given.dev, run.entry.window) if given.dev else None,
        operation=_operation(run, given),
        folder=run.path,
        fingerprint=mark(run.described()),
        on_progress=tell,
    )
    train(model, plan, fabric)
    if fabric is not None and not fabric.is_global_zero:
        return
    weights = {name: weight.cpu().contiguous() for name, weight in model.state_dict().items()}
    write_atomically(run.path / WEIGHTS, lambda file: file.write(save(weights)))
    standard = given.standard.packed()
    write_atomically(run.path / STANDARD, lambda file: file.write(save(standard)))


def _usable(example: Example, model: Model) -> bool:
    """Whether a model has anything to learn from an example."""
    return any(bool(example.signals.present(name).any()) for name in model.modalities)


def _score(metric: str, dev: Sequence[Example], window: int | None, model: Model) -> float:
    answers = predict(model, dev, window=window)
    scores, kind = answers.scores.nan_to_num(), model.task.kind
    value = measure(metric, scores, answers.labelled, kind=kind)
    return value if METRICS[metric].higher_is_better else -value


def _operation(run: Run, given: Material) -> Operation | None:
    hiding, named = run.treatment.hide_important, run.treatment.operation
    if named is not None:
        return create_operation(named.name, **named.options)
    if hiding is None:
        return None
    first = replace(
        run,
        treatment=next(t for t in run.experiment.treatments if t.label == hiding.after),
    )
    model = built(first, given)
    set_criterion(model, first.training)
    execute(first)
    model.load_state_dict(load_file(first.path / WEIGHTS))
    losses = _losses(model.eval(), given.dev or given.train, first.entry.window)
    rises = measure_importance(losses.pop(""), losses)
    rising = {name: rise for name, rise in rises.items() if rise > hiding.above}
    if not rising:
        return None
    return hide_important(rising, probability=hiding.each.get(len(rising), 1 / (len(rising) + 1)))


@torch.inference_mode()
def _losses(model: Model, examples: Sequence[Example], window: int | None) -> dict[str, float]:
    """The loss with everything (under the empty name) and without each modality."""
    out = {}
    for hidden in ("", *model.modalities):
        away = Withhold((hidden,)) if hidden else None
        answers = predict(model, examples, operation=away, window=window)
        out[hidden] = float(model.criterion(answers.scores.nan_to_num(), answers.labelled, None))
    return out


def measured(run: Run, model: Model, given: Material) -> tuple[list[Row], Answers]:
    """What a trained model of a run comes to on the test part.

    Returns:
        The rows of all protocols, and the answers with everything present.
    """
    experiment, source = run.experiment, run.source
    post = fitted(experiment.post_processing, model, given.train, run.entry.window)
    variants = {} if run.made_up else source.variants(run.places)
    subject = Subject(
        model,
        [example for example in given.test if _usable(example, model)],
        experiment.metrics,
        run.seed,
        {name: partial(spoilt, run, given, name) for name in variants},
        run.entry.window,
        post,
        partial(judged, run, given, model),
    )
    rows = [row for protocol in experiment.protocols for row in protocol.measure(subject)]
    return rows, post(predict(model, given.test, window=run.entry.window))


def results_of(folder: Path) -> pd.DataFrame:
    """What a run measured, with its model, treatment, fold and seed.

    Raises:
        InputError: the folder holds no finished run.
    """
    note, table = folder / RUN, folder / RESULTS
    if not note.exists() or not table.exists():
        raise InputError("holds no finished run", path=folder, advice="run the experiment first")
    said = json.loads(note.read_text())
    entry = ModelEntry.model_validate(said["entry"])
    return pd.read_csv(table).assign(
        experiment=said["experiment"],
        model=entry.called,
        treatment=said["treatment"]["label"],
        fold=said["fold"],
        seed=said["seed"],
    )
