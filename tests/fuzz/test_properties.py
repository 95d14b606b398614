"""The fuzzer's targets as properties: a few hundred inputs of each with every run of the tests.

In CI the inputs are always the same ones (hypothesis derandomizes there by itself).
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.course import Course
from tests.fuzz.seeds import COURSES, LINES, seeds
from tests.fuzz.targets import TARGETS

EXAMPLES = {
    "parser": 300, "builder": 100, "stream": 200, "layer": 150, "switch": 150, "registrar": 200,
    "sdp": 200,
}  # fmt: skip


def mixed(target: str) -> st.SearchStrategy[bytes]:
    """A seed, damaged and followed by anything; or anything alone."""
    return st.one_of(
        st.binary(max_size=400),
        st.builds(
            lambda seed, damage, tail: Course(damage).damaged(seed) + tail,
            st.sampled_from(seeds(target)),
            st.binary(max_size=40),
            st.binary(max_size=120),
        ),
        st.builds(bytes.__add__, st.sampled_from(seeds(target)), st.binary(max_size=200)),
    )


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_breaks(target: str) -> None:
    @settings(
        max_examples=EXAMPLES[target],
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(mixed(target))
    def run(data: bytes) -> None:
        TARGETS[target](data)

    run()


@pytest.mark.parametrize("course", [*COURSES, *LINES], ids=lambda course: course[:12].hex())
@pytest.mark.parametrize("cut", [0.25, 0.5, 0.75])
def test_a_course_may_end_anywhere(course: bytes, cut: float) -> None:
    target = "layer" if course in LINES else "switch"
    TARGETS[target](course[: int(cut * len(course))])
