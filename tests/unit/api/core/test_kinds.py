from services.api.core.kinds import TRAITS, Kind
from services.common import ids


def test_every_kind_has_traits() -> None:
    assert set(TRAITS) == set(Kind)


def test_prefixes_are_those_of_all_services() -> None:
    assert {kind: TRAITS[kind].id_prefix for kind in Kind if TRAITS[kind].id_prefix} == {
        Kind.ACCOUNT: ids.ACCOUNT,
        Kind.RATE_DECK: ids.DECK,
        Kind.CUSTOMER_TRUNK: ids.CUSTOMER_TRUNK,
        Kind.VENDOR_TRUNK: ids.VENDOR_TRUNK,
        Kind.USER: ids.USER,
        Kind.API_KEY: ids.API_KEY,
        Kind.WEBHOOK: ids.WEBHOOK,
    }
