"""Settings: unknown options, and fields whose class is chosen by name."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from mien.errors import OptionError
from mien.registry import Registry
from mien.settings import ByName, NamedSettings, Settings, register_settings


class Shape(NamedSettings):
    pass


SHAPES: Registry[type[Shape]] = Registry("shape", group="mien.tests.shapes")


@register_settings(SHAPES, Shape, "circle")
class Circle(Shape):
    radius: Annotated[float, Field(gt=0)] = 1.0


class Labelled(Settings):
    """A kind that says its name itself."""

    name: str = "labelled"
    label: str = ""


class Drawing(Settings):
    shapes: tuple[Annotated[Shape, ByName(SHAPES)], ...] = ()
    frame: Circle = Circle()


def problems(given):
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate(given)
    return {each["loc"]: each["msg"] for each in caught.value.errors()}


def test_kinds_are_chosen_by_name_with_their_options():
    given = Drawing.model_validate({"shapes": ["circle", {"name": "circle", "radius": 2}]})
    assert given.shapes == (Circle(), Circle(radius=2))
    assert given.shapes[0].name == "circle"
    assert Drawing(shapes=given.shapes) == given


@pytest.mark.parametrize("mode", ["python", "json"])
def test_what_is_written_has_the_options_of_the_kind_and_can_be_read_again(mode):
    given = Drawing(shapes=(Circle(radius=2), Circle()))
    written = given.model_dump(mode=mode)
    assert list(written["shapes"]) == [{"name": "circle", "radius": r} for r in (2.0, 1.0)]
    assert Drawing.model_validate(written) == given
    assert given.model_dump(exclude_defaults=True)["shapes"][1] == {"name": "circle"}


def test_errors_name_the_place_and_the_nearest_word():
    found = problems(
        {
            "shapes": [{"name": "cirle"}, {"name": "circle", "radus": 1, "radius": 0}, 3],
            "shape": [],
            "frame": {"radios": 1},
        }
    )
    assert found == {
        ("shapes", 0, "name"): "no shape is called 'cirle'; did you mean circle?",
        ("shapes", 1, "radius"): "Input should be greater than 0",
        ("shapes", 1, "radus"): "there is no option 'radus'; did you mean radius?",
        ("shapes", 2, "name"): "a shape needs a name; choose from circle",
        ("shape",): "there is no option 'shape'; did you mean shapes?",
        ("frame", "radios"): "there is no option 'radios'; did you mean radius?",
    }


def test_kinds_that_say_their_name_themselves_are_chosen_as_well():
    registry: Registry[type[Settings]] = Registry("thing", group="mien.tests.things")
    registry.register("labelled", Labelled)
    adapter = TypeAdapter(Annotated[Labelled, ByName(registry)])
    found = adapter.validate_python({"name": "labelled", "label": "a"})
    assert found == Labelled(label="a")
    assert adapter.dump_python(found) == {"name": "labelled", "label": "a"}


def test_only_classes_of_the_base_are_registered():
    with pytest.raises(OptionError, match="derives from Shape"):
        register_settings(SHAPES, Shape, "drawing")(Drawing)
    assert "drawing" not in SHAPES
