"""What every program is asked to do, by the names that llama-bench gives to tests."""

N_PROMPT = 512
N_GENERATED = 128
PREFILL, EMPTY, DEEP = f"pp{N_PROMPT}", f"tg{N_GENERATED}", f"tg{N_GENERATED} @ d{N_PROMPT}"
TESTS = (PREFILL, EMPTY, DEEP)
# Tokens in the cache of a decode step, on average over the test.
POSITIONS = {EMPTY: N_GENERATED / 2, DEEP: N_PROMPT + N_GENERATED / 2}


def rates_by_test(prefill: float, empty: float, deep: float) -> dict[str, float]:
    return dict(zip(TESTS, (prefill, empty, deep), strict=True))
