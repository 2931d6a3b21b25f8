"""When a host fails rather than one endpoint of it."""

from tocsin.rules.outage import ENDPOINTS_DOWN, PROBE_S, STEADY, Hosts

HOST = "example.com"


def down(hosts: Hosts, now_ms: int = 0) -> None:
    for endpoint_id in "abcdefgh"[:ENDPOINTS_DOWN]:
        hosts.ended(HOST, endpoint_id, ok=False, now_ms=now_ms)


def test_one_endpoint_that_fails_is_its_own_trouble() -> None:
    hosts = Hosts()
    for _ in range(50):
        assert hosts.wait_s(HOST, 0) == 0
        hosts.ended(HOST, "a", ok=False, now_ms=0)
    assert not hosts.is_down(HOST)


def test_several_endpoints_that_fail_are_an_outage() -> None:
    hosts = Hosts()
    down(hosts)
    assert hosts.is_down(HOST)
    assert not hosts.is_down("other.example.com")
    assert hosts.wait_s("other.example.com", 0) == 0
    # One probe at a time.
    assert 0 < hosts.wait_s(HOST, 0) <= PROBE_S
    later_ms = int(PROBE_S * 1000)
    assert hosts.wait_s(HOST, later_ms) == 0
    assert hosts.wait_s(HOST, later_ms) > 0
    hosts.ended(HOST, "a", ok=False, now_ms=later_ms)
    assert hosts.wait_s(HOST, later_ms) > 0
    assert hosts.wait_s(HOST, 2 * later_ms) == 0


def test_a_success_in_between_is_no_outage() -> None:
    hosts = Hosts()
    for endpoint_id in "abcdefgh":
        hosts.ended(HOST, endpoint_id, ok=False, now_ms=0)
        hosts.ended(HOST, endpoint_id, ok=True, now_ms=0)
    assert not hosts.is_down(HOST)
    assert hosts.known == {}


def test_the_return_is_a_ramp() -> None:
    # F32
    hosts = Hosts()
    down(hosts)
    now_ms = int(PROBE_S * 1000)
    assert hosts.wait_s(HOST, now_ms) == 0
    hosts.ended(HOST, "a", ok=True, now_ms=now_ms)
    waves = []
    while HOST in hosts.known:
        wave = 0
        while hosts.wait_s(HOST, now_ms) == 0 and wave < 1000:
            wave += 1
        waves.append(wave)
        for _ in range(wave):
            hosts.ended(HOST, "a", ok=True, now_ms=now_ms)
        assert len(waves) < 20
    assert waves[0] == 2
    assert max(waves) <= STEADY
    assert hosts.wait_s(HOST, now_ms) == 0


def test_a_host_that_goes_down_again_while_it_comes_back() -> None:
    hosts = Hosts()
    down(hosts)
    now_ms = int(PROBE_S * 1000)
    assert hosts.wait_s(HOST, now_ms) == 0
    hosts.ended(HOST, "a", ok=True, now_ms=now_ms)
    for endpoint_id in "abc":
        hosts.wait_s(HOST, now_ms)
        hosts.ended(HOST, endpoint_id, ok=False, now_ms=now_ms)
    assert hosts.is_down(HOST)
    assert hosts.wait_s(HOST, now_ms) > 0
    assert hosts.wait_s(HOST, now_ms + int(PROBE_S * 1000)) == 0
