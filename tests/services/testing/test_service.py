import pytest

from surgetank.testing import (
    Admission,
    Answer,
    CollapsingService,
    DependencyError,
    DependencyRejectedError,
    DependencyThrottledError,
    DependencyTimeoutError,
    Fault,
    InvalidInputError,
    Response,
    ScriptedService,
    Service,
    Stage,
    StationPolicy,
)
from surgetank.testing.service import REQUESTS_MAX, SAMPLES_MAX


async def ending(service: Service) -> object:
    """The status of one call, or what it raises."""
    try:
        return (await service.call(timeout_s=3.0)).status
    except DependencyError as error:
        return type(error)


# Scripted


async def test_answers_come_in_order_and_the_last_for_ever(stage: Stage) -> None:
    service = stage.scripted_service([503, Response(202, {}, b"body"), 204])
    answers = [await ending(service) for _ in range(4)]
    assert answers == [DependencyError, 202, 204, 204]


@pytest.mark.parametrize(
    ("answer", "error", "after_s"),
    [
        (429, DependencyThrottledError, 0.0),
        (404, DependencyRejectedError, 0.0),
        (500, DependencyError, 0.0),
        (Fault.HANG, DependencyTimeoutError, 3.0),
        (Fault.TRUNCATED, DependencyError, 0.0),
    ],
)
async def test_what_a_call_raises(
    stage: Stage, answer: Answer, error: type[DependencyError], after_s: float
) -> None:
    assert await ending(stage.scripted_service([answer])) is error
    assert stage.now_s == after_s


async def test_a_truncated_answer_breaks_off_in_its_body(stage: Stage) -> None:
    with pytest.raises(DependencyError, match="the body ended early"):
        await stage.scripted_service([Fault.TRUNCATED]).call()


@pytest.mark.parametrize("status", [429, 503])
async def test_it_may_say_when_to_come_back(stage: Stage, status: int) -> None:
    service = stage.scripted_service([Response(status, {"retry-after": "7"})])
    with pytest.raises(DependencyError) as caught:
        await service.call()
    assert caught.value.retry_at == stage.clock.now() + 7.0


@pytest.mark.parametrize(("status", "may_have_acted"), [(502, True), (503, False)])
async def test_only_a_gateway_may_have_acted(
    stage: Stage, status: int, *, may_have_acted: bool
) -> None:
    with pytest.raises(DependencyError) as caught:
        await stage.scripted_service([status]).call()
    assert caught.value.may_have_acted is may_have_acted


async def test_it_keeps_what_was_asked_and_when(stage: Stage) -> None:
    service = stage.scripted_service([200])
    await service.call()
    await stage.clock.sleep_until(stage.clock.now() + 1.5)
    await service.call()
    assert [request.url for request in service.requests] == [service.url] * 2
    assert list(service.asked_at) == [0.0, 1.5]


async def test_it_keeps_so_many_requests_and_no_more(stage: Stage) -> None:
    service = stage.scripted_service([200])
    for _ in range(REQUESTS_MAX + 1):
        await service.call()
    assert (len(service.requests), service.calls) == (REQUESTS_MAX, REQUESTS_MAX + 1)


@pytest.mark.parametrize("answers", [[], [200, 99], [600]])
def test_answers_that_are_none_are_refused(stage: Stage, answers: list[Answer]) -> None:
    with pytest.raises(InvalidInputError, match=r"an answer at least|not a status"):
        stage.scripted_service(answers)


def test_two_services_do_not_share_a_host(stage: Stage) -> None:
    stage.scripted_service([200], host="one")
    with pytest.raises(InvalidInputError, match="served already"):
        stage.scripted_service([200], host="one")


async def test_a_service_that_is_off_refuses_until_it_is_on(stage: Stage) -> None:
    service: ScriptedService = stage.scripted_service([200])
    service.switch_off()
    service.switch_off()
    with pytest.raises(DependencyError, match="connection refused"):
        await service.call()
    service.switch_on()
    service.switch_on()
    assert await ending(service) == 200
    assert (service.calls, stage.calls_made["service"]) == (1, 2)


# Collapsing


async def test_it_serves_as_fast_as_its_nodes_can(stage: Stage, small: StationPolicy) -> None:
    service: CollapsingService = stage.collapsing_service(small)
    load = await stage.load(service.call, rate_per_s=0.5, lasts_s=20.0)
    assert (load.success_ratio(), service.counts.served) == (1.0, 10)


async def test_it_works_for_callers_who_have_gone(stage: Stage, small: StationPolicy) -> None:
    service = stage.collapsing_service(small)
    service.slow_down(100.0)
    assert await ending(service) is DependencyTimeoutError
    await stage.clock.sleep_until(stage.clock.now() + 60.0)
    assert service.counts.served == 1


async def test_a_call_takes_as_much_longer_as_it_was_slowed_down(
    stage: Stage, small: StationPolicy
) -> None:
    service = stage.collapsing_service(small)
    service.slow_down(5.0)
    await service.call()
    assert stage.now_s == pytest.approx(1.0)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_a_factor_that_is_none_is_refused(
    stage: Stage, small: StationPolicy, factor: float
) -> None:
    with pytest.raises(InvalidInputError, match="factor on work"):
        stage.collapsing_service(small).slow_down(factor)


async def test_a_crash_takes_what_is_in_line_with_it(stage: Stage, small: StationPolicy) -> None:
    service = stage.collapsing_service(small)
    stage.at(0.1, service.crash)
    with pytest.raises(DependencyError, match="answered 502"):
        await service.call()
    assert (service.counts.crashes, service.counts.lost) == (1, 1)


async def test_what_has_crashed_cannot_crash_again(stage: Stage, small: StationPolicy) -> None:
    service = stage.collapsing_service(small)
    service.crash()
    service.crash()
    assert service.counts.crashes == 1


async def test_a_crashed_node_comes_back_cold(stage: Stage, small: StationPolicy) -> None:
    service = stage.collapsing_service(small)
    service.crash()
    await stage.clock.sleep_until(stage.clock.now() + small.restart_s)
    assert service.station.live_ratio() == pytest.approx(small.cold_ratio)


async def test_admission_says_when_to_come_back(stage: Stage, small: StationPolicy) -> None:
    service = stage.collapsing_service(small, admission=Admission(wait_s_max=0.5))
    service.slow_down(10.0)
    assert await ending(service) == 200
    with pytest.raises(DependencyThrottledError) as caught:
        await service.call()
    assert caught.value.retry_at is not None
    assert caught.value.retry_at >= stage.clock.now() + 1.0


async def test_samples_show_the_queue_at_most_once_a_second(
    stage: Stage, small: StationPolicy
) -> None:
    service = stage.collapsing_service(small)
    await stage.load(service.call, rate_per_s=4.0, lasts_s=5.0)
    gaps_s = [
        later.at - sooner.at
        for sooner, later in zip(service.samples, list(service.samples)[1:], strict=False)
    ]
    assert len(service.samples) == 5
    assert min(gaps_s) >= 1.0
    assert service.samples[-1].queue_s > service.samples[0].queue_s == 0.0


async def test_a_sample_stays_as_it_was_taken(stage: Stage, small: StationPolicy) -> None:
    service = stage.collapsing_service(small)
    await service.call()
    assert (service.samples[0].counts.served, service.counts.served) == (0, 1)


async def test_the_latest_samples_are_kept(stage: Stage, small: StationPolicy) -> None:
    service = stage.collapsing_service(small)
    for _ in range(SAMPLES_MAX + 1):
        await service.call()
        await stage.clock.sleep_until(stage.clock.now() + 1.0)
    assert len(service.samples) == SAMPLES_MAX
    assert service.samples[0].at > 1.0  # that of the first call has gone
