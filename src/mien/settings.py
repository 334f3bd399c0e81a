"""Settings as data: the base of everything that a YAML says, and settings that are known by name.

A setting may be one of many kinds (a protocol, a data set) that a registry knows by name. Such a
field is written ``Annotated[Base, ByName(REGISTRY)]``: the class is looked up by ``name``, so that
a plugin's kinds can be chosen like the package's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    computed_field,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from mien.errors import OptionError
from mien.registry import Registry, nearest


class Settings(BaseModel):
    """Base of everything that a YAML says: frozen; an unknown key is refused with the nearest one.

    Example:
        >>> class Size(Settings):
        ...     width: int = 8
        >>> try:
        ...     Size.model_validate({"widht": 9})
        ... except ValidationError as error:
        ...     print(error.errors()[0]["msg"])
        there is no option 'widht'; did you mean width?
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _name_nearest(cls, given: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(given)
        except ValidationError as error:
            problems = [_explain(problem, cls.model_fields) for problem in error.errors()]
            raise ValidationError.from_exception_data(error.title, problems) from error


class NamedSettings(Settings):
    """Settings of a kind that a registry knows by name; what they are written with is that name.

    Attributes:
        registered: the name, set by `register_settings`; empty for a base class.
    """

    registered: ClassVar[str] = ""

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def name(self) -> str:
        """The name by which the registry knows this kind."""
        return self.registered

    @model_validator(mode="before")
    @classmethod
    def _skip_own_name(cls, given: object) -> object:
        if isinstance(given, Mapping) and given.get("name", "") == cls.registered:
            return {key: value for key, value in given.items() if key != "name"}
        return given


Kind = TypeVar("Kind", bound=NamedSettings)


def register_settings(
    registry: Registry[Any], base: type[NamedSettings], name: str
) -> Callable[[type[Kind]], type[Kind]]:
    """Return a decorator that registers a kind of settings and tells it its name.

    Args:
        registry: where to.
        base: what the class has to derive from.
        name: by which it is chosen.

    Raises:
        OptionError: (the decorator) the name is taken, or the class does not derive from `base`.
    """

    def register(kind: type[Kind]) -> type[Kind]:
        if not (isinstance(kind, type) and issubclass(kind, base)):
            raise OptionError(
                f"the {registry.kind} {name!r} is no class that derives from {base.__name__}",
                advice=f"derive it from {base.__module__}.{base.__name__}",
            )
        registry.register(name, kind)
        kind.registered = name
        return kind

    return register


@dataclass(frozen=True)
class ByName:
    """Marks a field whose class is looked up by ``name``: ``Annotated[Base, ByName(REGISTRY)]``.

    Such a field takes a mapping of ``name`` and the options of that kind, the name alone, or an
    object of `Base`. Errors have the place of the option in the whole, as pydantic's own, and name
    the nearest known word. What is written out has all fields of the kind.

    Attributes:
        registry: of classes of settings, by name.
    """

    registry: Registry[Any]

    def __get_pydantic_core_schema__(
        self, source: type[Settings], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Describe to pydantic how the field is checked and written."""
        return core_schema.with_info_plain_validator_function(
            partial(self._choose, source), serialization=core_schema.simple_ser_schema("any")
        )

    def _choose(self, base: type[Settings], given: object, info: ValidationInfo) -> Settings:
        if isinstance(given, base):
            return given
        options = {"name": given} if isinstance(given, str) else given
        if not isinstance(options, Mapping) or not isinstance(options.get("name"), str):
            raise self._refuse(f"a {self.registry.kind} needs a name; {nearest('', self.registry)}")
        try:
            kind: type[Settings] = self.registry[options["name"]]
        except OptionError as error:
            raise self._refuse(str(error), options["name"]) from error
        return kind.model_validate(options, context=info.context)

    def _refuse(self, message: str, given: object = None) -> ValidationError:
        problem = _problem("unknown_name", message, ("name",), given)
        return ValidationError.from_exception_data(self.registry.kind, [problem])


def _explain(problem: Any, known: Mapping[str, object]) -> InitErrorDetails:  # noqa: ANN401, pydantic's
    """Return a problem; where it is an unknown option of these settings, name the nearest one."""
    kind, message, place = problem["type"], problem["msg"], problem["loc"]
    if kind == "extra_forbidden" and len(place) == 1:
        kind = "unknown_option"
        advice = nearest(str(place[0]), known) if known else "there are no options"
        message = f"there is no option {place[0]!r}; {advice}"
    return _problem(kind, message, place, problem["input"], problem.get("ctx"))


def _problem(
    kind: str,
    message: str,
    place: tuple[int | str, ...],
    given: object,
    context: dict[str, Any] | None = None,
) -> InitErrorDetails:
    # The kind and the message are as they are shown, so nothing is left to be filled in.
    error = PydanticCustomError(kind, message, context)
    return InitErrorDetails(type=error, loc=place, input=given)
