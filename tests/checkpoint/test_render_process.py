"""A template that will not end is ended; the process comes and goes with its owner."""

import gc
import sys
import threading
from datetime import datetime

import pytest

from llmcli.checkpoint.render_process import RenderProcess

NOW = datetime(2025, 7, 10, 12)


@pytest.fixture
def start():
    started = []

    def start(source, seconds=30.0):
        process = RenderProcess(source, seconds=seconds)
        started.append(process)
        return process

    yield start
    for process in started:
        process.close()


def test_it_renders_again_and_again(start):
    process = start("{{ a }}é🙂{{ strftime_now('%Y') }}")
    assert process.loaded["text"] == "é🙂\0%Y"
    for value in ("x", "\ud800", 3):
        assert process.render({"a": value}, NOW) == {"text": f"{value}é🙂2025"}


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        # One operation that takes for ever without ever coming back to Python code.
        "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}"
        "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
    ],
)
def test_endless_work_is_ended(start, source):
    process = start(source, seconds=1.5)
    assert "text" in process.loaded
    failure = process.render({}, NOW)
    assert failure == {"error": "limit", "message": "it ran for 1.5 seconds"}


def test_after_an_end_the_next_rendering_has_a_new_process(start):
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    process = start("{% if slow %}" + loop + "{% endif %}done", seconds=3)
    assert process.render({"slow": True}, NOW)["error"] == "limit"
    assert process.render({"slow": False}, NOW) == {"text": "done"}
    process.close()
    assert process.render({"slow": False}, NOW) == {"text": "done"}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited where the system can")
@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10 ** 10 }}",
        "{{ 'a'.ljust(10 ** 10) }}",
        "{{ '%9999999999s' % 'a' }}",
        "{{ ['a'] * 10 ** 10 }}",
        "{{ 'a'|center(10 ** 10) }}",
        "{% set ns = namespace(t='x') %}{% for i in range(60) %}{% set ns.t = ns.t + ns.t %}"
        "{% endfor %}",
        "{% set ns = namespace(t='x') %}{% for i in range(60) %}{% set ns.t = ns.t ~ ns.t %}"
        "{% endfor %}",
        "{% set ns = namespace(t=['x']) %}{% for i in range(60) %}{% set ns.t = [ns.t, ns.t] %}"
        "{% endfor %}{{ ns.t }}",
        "{{ lipsum(10 ** 8) }}",
    ],
)
def test_endless_memory_is_refused(start, source):
    process = start(source, seconds=2)
    assert "text" in process.loaded
    assert process.render({}, NOW)["error"] in ("limit", "failed")


def test_what_is_no_template_is_reported_at_once(start):
    assert start("{% for %}").loaded["error"] == "syntax"


def test_the_process_ends_with_its_owner():
    process = RenderProcess("x")
    child = process._process
    assert process.loaded["text"] == "x"
    del process
    gc.collect()
    assert child.returncode is not None


def test_an_interrupt_leaves_no_stale_answer(start, monkeypatch):
    process = start("{{ a }}")

    class Interrupted:
        def readline(self):
            raise KeyboardInterrupt

        def close(self):
            pass

    stdout = process._process.stdout
    monkeypatch.setattr(process._process, "stdout", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        process.render({"a": 1}, NOW)
    stdout.close()
    assert process.render({"a": 2}, NOW) == {"text": "2"}


def test_an_interrupt_of_its_start_leaves_no_process_without_its_template(start, monkeypatch):
    process = start("{{ a }}")
    process.close()

    def interrupted(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as while_it_starts:
        while_it_starts.setattr(threading.Timer, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            process.render({"a": 1}, NOW)
    assert process.render({"a": 2}, NOW) == {"text": "2"}
