"""What the law's settings may be, and that it gets them all."""

import pytest

from surgetank.control.release import ReleasePolicy
from surgetank.core.errors import InvalidInputError

POLICY = ReleasePolicy()


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": 0.0},
        {"workers": 0},
        {"lag_s": -0.1},
        {"phase_ratio": 1.1},
        {"rate_per_s_min": 0.0},
        {"rate_per_s_unlearnt": 0.001},
        {"window_start": 0.9},
        {"clean_results": 2},
        {"ramp_growth": 1.0},
        {"delay_share": 0.0},
        {"delay_share_max": 0.6},
        {"high_share": 0.0},
        {"shed_share": 0.0},
        {"base_multiple": 0.0},
        {"probe_period_s": 0.0},
    ],
)
def test_refuses_a_policy_that_cannot_work(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="out of range"):
        ReleasePolicy(**wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a table of mixed numbers


def test_parameters_are_the_policy_by_the_same_names() -> None:
    parameters = POLICY.parameters()
    assert parameters._asdict() == {name: getattr(POLICY, name) for name in parameters._fields}
    assert all(isinstance(number, float) for number in parameters)
