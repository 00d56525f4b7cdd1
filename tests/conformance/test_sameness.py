"""The fake is tested by exactly what tests the service."""


def test_every_backend_gets_the_same_tests(chosen: dict[str, set[str]]) -> None:
    """Those of this session: one file, or all of them."""
    ran = list(chosen.values())
    assert all(tests == ran[0] for tests in ran)
