from __future__ import annotations

from farmgate.engines.leases import Address, Leases

ADDRESS = Address(url="http://127.0.0.1:1", key="secret")


def test_a_lease_counts_until_it_is_released_and_only_once() -> None:
    now = [5.0]
    leases = Leases(lambda: now[0])
    assert leases.idle_s() is None
    first, second = leases.take(ADDRESS), leases.take(ADDRESS)
    assert (first.url, first.key) == ("http://127.0.0.1:1", "secret")
    assert leases.in_flight == 2
    first.release()
    first.release()
    assert leases.in_flight == 1
    now[0] = 9.0
    assert leases.idle_s() == 0.0
    second.release()
    now[0] = 12.0
    assert leases.in_flight == 0
    assert leases.idle_s() == 3.0
