"""Stop texts: found wherever the pieces break, never shown in part, nothing else withheld."""

from hypothesis import given
from hypothesis import strategies as st

from llmcli.engine.stops import StopFilter


def run(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    stop_filter = StopFilter(stops)
    shown = ""
    for piece in pieces:
        part, stopped = stop_filter.push(piece)
        shown += part
        if stopped:
            return shown, True
    return shown + stop_filter.flush(), False


letters = st.text(alphabet="ab#é", max_size=4)


@given(st.lists(letters, max_size=20), st.lists(letters, max_size=3))
def test_the_text_before_the_first_stop_is_shown_whatever_the_pieces(
    pieces: list[str], stops: list[str]
) -> None:
    shown, stopped = run(pieces, stops)
    whole = "".join(pieces)
    stops = [stop for stop in stops if stop]
    assert stopped == any(stop in whole for stop in stops)
    if not stopped:
        assert shown == whole
    else:
        assert whole.startswith(shown)
        assert any(whole[len(shown) :].startswith(stop) for stop in stops)
        assert not any(stop in shown for stop in stops)


def test_a_stop_that_spans_pieces_never_leaks() -> None:
    stop_filter = StopFilter(["END"])
    assert stop_filter.push("say E") == ("say ", False)
    assert stop_filter.push("N") == ("", False)
    assert stop_filter.push("D and more") == ("", True)


def test_what_only_looked_like_a_stop_is_shown() -> None:
    stop_filter = StopFilter(["END"])
    assert stop_filter.push("EN") == ("", False)
    assert stop_filter.push("T") == ("ENT", False)
    assert stop_filter.push("E")[0] == ""
    assert stop_filter.flush() == "E"
