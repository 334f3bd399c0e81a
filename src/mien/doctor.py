"""What is installed, what this machine has, which weights are here, and how to get the rest."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import torch
from rich.console import Console

from mien import weights
from mien._version import __version__
from mien.errors import MienError
from mien.trained import SUFFIX, read_card
from mien.weights import WeightStatus

_PACKAGES = ("torch", "av", "opencv-python-headless", "soxr", "numpy", "pandas", "pyarrow")


def examine(console: Console, *, fetch: bool = False) -> bool:
    """Print what is installed and how every weight file stands.

    Args:
        console: where to.
        fetch: get the weights that are missing first; without it the network is not touched.

    Returns:
        True if everything that an analysis needs is here and verified.
    """
    if fetch:
        _fetch_all(console)
    console.print(f"mien {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for package in _PACKAGES:
        console.print(f"  {package} {metadata.version(package)}")
    console.print(f"device: {_device()}")
    states = weights.status()
    models = {state.name: card for state in states if (card := _read_card(state))}
    console.print(f"weights (cache: {weights.cache_folder()})", markup=False)
    for state in states:
        if state.name not in models:
            _print_status(console, state, state.licence)
    console.print("trained models, for `mien analyze --model`; `mien models NAME` shows a card")
    for state in states:
        if state.name in models:
            _print_status(console, state, models[state.name])
    healthy = all(state.present and state.verified for state in states)
    if not healthy:
        console.print("to fetch what is missing: mien doctor --fetch")
    return healthy


def _read_card(state: WeightStatus) -> str:
    """Say what a trained model answers, and its licence; nothing for other and damaged files."""
    if not state.verified or state.path.suffix != SUFFIX:
        return ""
    try:
        card = read_card(state.path)
    except MienError:
        return ""
    task = card["task"]
    return f"{', '.join(task['names'])} per {task['per']}; {state.licence}"


def _print_status(console: Console, state: WeightStatus, about: str) -> None:
    sound = state.present and state.verified
    word = "verified" if sound else ("DAMAGED" if state.present else "missing")
    size = f"{state.size_bytes / 1e6:.1f} MB" if state.present else ""
    console.print(f"  {state.name:24} {word:9} {size:>8}  {about}", markup=False)
    if not sound:
        console.print(f"    {state.advice}", markup=False)


def _fetch_all(console: Console) -> None:
    for name in weights.names():
        try:
            weights.locate(name)
        except MienError as error:
            console.print(f"{name}: {error}", markup=False)


def _device() -> str:
    cores = f"{os.cpu_count()} cores"
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        return f"{cores}; {name} (CUDA {torch.version.cuda}), which `analyze` does not use yet"
    return f"CPU, {cores}, {torch.get_num_threads()} threads"
