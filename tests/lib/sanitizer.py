"""Programs that are built with the sanitizers (meson's b_sanitize=address,undefined): what they say is a test's failure."""
import functools
import re


@functools.cache
def is_in(program):
    return program.exists() and b"__asan_init" in program.read_bytes()


def assert_silent(said):
    """said: standard error of a program that has ended, after the leak checker."""
    assert not re.search(r"Sanitizer|: runtime error: ", said), said
