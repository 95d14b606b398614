"""Settings as they are stored become what signaling goes by."""

from __future__ import annotations

from services.api.core.setting import SETTINGS
from services.signaling.core.guard import GuardRules
from services.signaling.core.switch_settings import SwitchSettings, read_settings


def test_what_is_not_set_has_the_default_the_api_shows() -> None:
    settings = read_settings({})
    for name in SwitchSettings.__struct_fields__:
        assert getattr(settings, name) == SETTINGS[name].default, name
    assert settings.guard_rules == GuardRules()


def test_what_is_set_holds_and_nonsense_does_not() -> None:
    settings = read_settings(
        {
            "authentication_max_retry": 3, "unknown_source_limit": True,
            "record_illegal_calls": 1, "record_zero_hold_time": False, "max_call_s": 5,
        }
    )  # fmt: skip
    assert settings == SwitchSettings(authentication_max_retry=3, record_zero_hold_time=False)
