"""Things by name: the one idiom by which models, extractors, data sets, protocols … are found.

A `Registry` holds what the package registers, what installed distributions announce under the entry
point group of the registry, and what a plugin file (`mien.plugins.load_plugin`) adds. Its built-in
modules are imported at the first look-up, so importing a registry is cheap.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar, overload

from mien.errors import OptionError, PluginError

Entry = TypeVar("Entry")
Other = TypeVar("Other")
_ORIGIN: ContextVar[str] = ContextVar("mien_origin", default="")


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Entries by name.

    Args:
        kind: what an entry is, for messages, as ``model``.
        group: the entry point group that other distributions announce theirs under.
        modules: names of the modules that register the built-in entries when imported.

    Example:
        >>> shapes: Registry[type] = Registry("shape", group="mien.shapes")
        >>> shapes.register("circle", complex)
        >>> shapes["circle"] is complex
        True
        >>> shapes["cirle"]
        Traceback (most recent call last):
        mien.errors.OptionError: no shape is called 'cirle'; did you mean circle?
    """

    def __init__(self, kind: str, *, group: str, modules: Iterable[str] = ()) -> None:
        self.kind, self.group = kind, group
        self._modules = tuple(modules)
        self._entries: dict[str, Entry] = {}
        self._origins: dict[str, str] = {}
        self._loaded = False

    def register(self, name: str, entry: Entry) -> None:
        """Add an entry.

        Raises:
            OptionError: another entry has that name.
        """
        if name in self._entries:
            raise OptionError(
                f"two entries are called {name!r} among the {self.kind}s",
                advice="choose another name",
            )
        self._entries[name] = entry
        self._origins[name] = _find_origin()

    def origin(self, name: str) -> str:
        """Tell where an entry is from: a plugin file or a distribution; empty for mien itself."""
        self._load()
        return self._origins.get(name, "")

    @property
    def distributions(self) -> tuple[str, ...]:
        """Names of the installed distributions that announce entries, in order, each once."""
        points = entry_points(group=self.group)
        return tuple(sorted({point.dist.name for point in points if point.dist}))

    def __getitem__(self, name: str) -> Entry:
        """Look up the entry of that name.

        Raises:
            OptionError: there is none; the message names the nearest.
        """
        self._load()
        if name not in self._entries:
            raise OptionError(f"no {self.kind} is called {name!r}", advice=nearest(name, self))
        return self._entries[name]

    @overload
    def get(self, name: str) -> Entry | None: ...
    @overload
    def get(self, name: str, default: Other) -> Entry | Other: ...
    def get(self, name: str, default: object = None) -> object:
        """Look up the entry of that name, or the default where there is none.

        Example:
            >>> Registry[type]("shape", group="mien.shapes").get("circle") is None
            True
        """
        self._load()
        return self._entries.get(name, default)

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        self._load()
        return len(self._entries)

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        for module in self._modules:
            import_module(module)
        for point in entry_points(group=self.group):
            origin = point.dist.name if point.dist else point.value
            with registering_from(origin):
                try:
                    point.load()
                except Exception as error:
                    raise PluginError(
                        f"the {self.kind} {point.name} of {origin} cannot be imported ({error!r})",
                        advice=f"mend or uninstall {origin}",
                    ) from error


@contextmanager
def registering_from(origin: str) -> Iterator[None]:
    """Within it, whatever is registered is noted as of that origin."""
    token = _ORIGIN.set(origin)
    try:
        yield
    finally:
        _ORIGIN.reset(token)


def _find_origin() -> str:
    """Tell where what is being registered comes from.

    A plugin may be what imports a module of mien first, which then registers its own entries: they
    are mien's. The module that is being run tells.
    """
    frame = sys._getframe(2)
    while frame.f_code.co_name != "<module>" and frame.f_back is not None:
        frame = frame.f_back
    return "" if str(frame.f_globals.get("__name__")).startswith("mien.") else _ORIGIN.get()


def nearest(name: str, known: Iterable[str]) -> str:
    """Advise on an unknown name: the nearest known ones, or all of them.

    Example:
        >>> nearest("widht", ["width", "depth"])
        'did you mean width?'
        >>> nearest("zzz", ["width", "depth"])
        'choose from depth, width'
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"choose from {', '.join(names)}" if names else "there is none"


def check_options(
    what: str, options: Iterable[str], known: Iterable[str], needed: Iterable[str] = ()
) -> None:
    """Check the names of options where they are written.

    Args:
        what: whose options they are, for the message.
        options: names that were given.
        known: names that exist.
        needed: names that must be given.

    Raises:
        OptionError: a name is unknown, or one is lacking; the message names the nearest.
    """
    given, existing = list(options), sorted(known)
    for option in given:
        if option not in existing:
            advice = nearest(option, existing) if existing else f"{what} has no options"
            raise OptionError(f"{what} has no option {option!r}", advice=advice)
    lacking = [name for name in needed if name not in given]
    if lacking:
        raise OptionError(f"{what} needs {', '.join(lacking)}", advice="give a value for it")
