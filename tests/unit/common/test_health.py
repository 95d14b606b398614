import pytest

from services.common.health import Operations, respond


def operations(*, ready: bool = True) -> tuple[Operations, list[str]]:
    drained: list[str] = []
    return (
        Operations(
            ready=lambda: {"bus": True, "routing": ready},
            notes=lambda: {"stale_configuration": "revision 7"} if ready else {},
            metrics=lambda: b"tandem_calls 1\n",
            drain=lambda: drained.append("drain"),
        ),
        drained,
    )


def test_ready_when_every_condition_holds() -> None:
    response = respond("GET", "/readyz", operations()[0])
    assert response.status == 200
    assert response.body == (
        b'{"ready":true,"conditions":{"bus":true,"routing":true},'
        b'"notes":{"stale_configuration":"revision 7"}}'
    )


def test_nothing_to_note_is_left_out() -> None:
    response = respond("GET", "/readyz", operations(ready=False)[0])
    assert b"notes" not in response.body


def test_not_ready_says_what_is_missing() -> None:
    response = respond("GET", "/readyz?verbose", operations(ready=False)[0])
    assert response.status == 503
    assert b'"routing":false' in response.body


def test_alive_even_when_not_ready() -> None:
    assert respond("GET", "/livez", operations(ready=False)[0]).status == 200


def test_metrics_are_prometheus_text() -> None:
    response = respond("GET", "/metrics", operations()[0])
    assert (response.body, response.content_type.split(";")[0]) == (
        b"tandem_calls 1\n",
        "text/plain",
    )


def test_drain_is_begun_by_post_only() -> None:
    asked, drained = operations()
    assert respond("GET", "/drain", asked).status == 405
    assert not drained
    assert respond("POST", "/drain", asked).status == 202
    assert drained == ["drain"]


@pytest.mark.parametrize("path", ["/", "/metrics/x", "//livez", "/livez\x00", "*"])
def test_other_paths_are_not_found(path: str) -> None:
    assert respond("GET", path, operations()[0]).status == 404
