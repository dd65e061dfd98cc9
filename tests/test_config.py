"""Configurations from plain values and from assignments, and errors that name the nearest key."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from spikereel.config import build, known_keys, override, unknown_key
from spikereel.errors import ConfigError, SpikereelError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5
    top: int | None = None
    kind: Literal["a", "b"] = "a"
    bits: Literal["auto", "32"] | None = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int = 1
    sizes: tuple[int, int] = (1, 2)
    name: str = "x"
    names: tuple[str, ...] | None = ()
    quick: bool = False
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.count > 100:
            raise ConfigError(f"count must be at most 100, got {self.count}")


def test_build_from_plain_values():
    built = build(Outer, {"count": 3, "sizes": [4, 5], "inner": {"rate": 1, "top": 7}})
    assert built == Outer(count=3, sizes=(4, 5), inner=Inner(rate=1.0, top=7))
    assert isinstance(built.sizes, tuple)
    assert isinstance(built.inner.rate, float)
    assert build(Outer, {}) == Outer()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"count": "three"}, "count.*three"),
        ({"count": 2.5}, "count.*2.5"),
        ({"sizes": [1]}, "sizes.*1"),
        ({"inner": {"kind": "c"}}, r"inner\.kind.*c"),
        ({"inner": {"rate": "high"}}, r"inner\.rate.*high"),
        ({"inner": 3}, "'inner'.*3"),
        ({"quick": "maybe"}, "quick.*maybe"),
        ({"count": 101}, "at most 100, got 101"),
    ],
)
def test_values_of_the_wrong_type(values, named):
    with pytest.raises(ConfigError, match=named) as caught:
        build(Outer, values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"coutn": 1}, "unknown option 'coutn'; did you mean 'count'"),
        ({"inner": {"rat": 1}}, r"unknown option 'inner\.rat'; did you mean 'inner\.rate'"),
        ({"kind": "b"}, r"did you mean 'inner\.kind'"),
    ],
)
def test_unknown_keys_name_the_nearest(values, named):
    with pytest.raises(ConfigError, match=named):
        build(Outer, values)


def test_unknown_key_lists_all_where_none_is_near():
    assert "choose one of alpha, beta" in str(unknown_key("zzz", ["alpha", "beta"]))
    assert "unknown model 'alpa'; did you mean 'alpha'" in str(unknown_key("alpa", ["alpha", "beta"], "model"))
    assert isinstance(unknown_key("x", ["y"]), SpikereelError)


def test_known_keys_are_dotted():
    assert known_keys(Outer) == [
        "count",
        "sizes",
        "name",
        "names",
        "quick",
        "inner.rate",
        "inner.top",
        "inner.kind",
        "inner.bits",
    ]


@pytest.mark.parametrize(
    ("assignment", "wanted"),
    [
        ("count=5", Outer(count=5)),
        (" count = 5 ", Outer(count=5)),
        ("sizes=[3, 4]", Outer(sizes=(3, 4))),
        ("sizes=(3, 4)", Outer(sizes=(3, 4))),
        ("name=a=b", Outer(name="a=b")),
        ("name=plain words", Outer(name="plain words")),
        ("quick=true", Outer(quick=True)),
        ("quick=True", Outer(quick=True)),
        ("inner.rate=1e-3", Outer(inner=Inner(rate=1e-3))),
        ("inner.top=4", Outer(inner=Inner(top=4))),
        ("inner.top=none", Outer()),
        ("inner.top=null", Outer()),
        ("inner.kind=b", Outer(inner=Inner(kind="b"))),
        ("name=0016E5", Outer(name="0016E5")),
        ("name=12", Outer(name="12")),
        ('name="12"', Outer(name="12")),
        ("name=[1]", Outer(name="[1]")),
        ("inner.bits=32", Outer(inner=Inner(bits="32"))),
        ("inner.bits=none", Outer()),
        ("name=2011_09_26", Outer(name="2011_09_26")),
        ("names=[2011_09_26]", Outer(names=("2011_09_26",))),
        ("names=[person, 2011_09_26, 07, 1e3, on]", Outer(names=("person", "2011_09_26", "07", "1e3", "on"))),
        ("names=(left, 2)", Outer(names=("left", "2"))),
        ("names=[12, 'a, b', \"7\", c d, ]", Outer(names=("12", "a, b", "7", "c d"))),
        ("names=[]", Outer(names=())),
        ("names=none", Outer(names=None)),
    ],
)
def test_override(assignment, wanted):
    assert override(Outer(), [assignment]) == wanted


@dataclass(frozen=True, kw_only=True)
class Card:
    name: str = ""
    seen: dict[str, Any] = field(default_factory=dict)


def test_values_of_open_type_stay_as_they_are():
    seen = {"root": "0016E5", "fold": "12", "size": 3, "mean": [0.5], "none": "null", "deep": {"a": "1e3"}}
    assert build(Card, {"name": "07", "seen": seen}) == Card(name="07", seen=seen)
    assert build(Card, {"name": "x"}) == Card(name="x")
    with pytest.raises(ConfigError, match=r"'seen'.*3"):
        build(Card, {"seen": 3})


def test_override_keeps_the_rest_and_the_last_wins():
    before = Outer(count=2, inner=Inner(rate=0.25, top=3))
    after = override(before, ["inner.kind=b", "name=y", "name=z"])
    assert after == Outer(count=2, name="z", inner=Inner(rate=0.25, top=3, kind="b"))
    assert before == Outer(count=2, inner=Inner(rate=0.25, top=3))
    assert override(before, []) == before


@pytest.mark.parametrize(
    ("assignment", "named"),
    [
        ("count", "'count' is not an assignment"),
        ("coutn=3", "did you mean 'count'"),
        ("inner.tpo=3", r"did you mean 'inner\.top'"),
        ("rate=3", r"did you mean 'inner\.rate'"),
        ("count=many", "count.*many"),
        ("count=", "count"),
        ("=3", "unknown option"),
        ("inner=3", "unknown option 'inner'"),
        ("count=101", "got 101"),
        ("names=person", r"'names' is 'person': give a list such as \[a, b\]"),
        ("names=5", r"'names' is 5: give a list such as \[a, b\]"),
    ],
)
def test_bad_assignments(assignment, named):
    with pytest.raises(ConfigError, match=named):
        override(Outer(), [assignment])
