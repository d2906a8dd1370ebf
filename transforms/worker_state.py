"""What makes state cheap in a worker of Beam's Python SDK. Both change when things are done, never a value.

Weighing: Beam weighs every state value it caches by a walk that first lists the globals of all loaded modules: 0.25 to
0.65 ms a value, three quarters of a stateful step's time. Our states are numbers and bytes, whose size a look at them
tells. Only the weight changes, which is what the cache counts against its limit.

Committing: at the end of a bundle Beam writes one key's state, waits for the runner's answer, writes the next. With
hundreds of keys in a bundle that is all its time. All writes are sent first, and then all answers are awaited.
"""

from __future__ import annotations

import sys
from typing import Any

from apache_beam.runners.worker import bundle_processor, statecache

ENTRY = 200  # bytes of what holds a value in the cache


def prepare_worker() -> None:
    """Call it in a stateful DoFn's setup. Does nothing where this Beam has other insides."""
    sys.setswitchinterval(0.0002)
    if hasattr(statecache, "get_deep_size"):
        statecache.get_deep_size = weight
    if all(hasattr(bundle_processor, name) for name in ("FnApiUserStateContext", "SynchronousBagRuntimeState")):
        bundle_processor.FnApiUserStateContext.commit = commit_together


def weight(*values: Any) -> int:
    """Bytes of values, containers with what they hold; of anything unknown, itself alone."""
    total, rest = ENTRY, list(values)
    while rest:
        value = rest.pop()
        total += sys.getsizeof(value)
        if isinstance(value, list | tuple | set | frozenset):
            rest.extend(value)
        elif isinstance(value, dict):
            rest.extend(value.keys())
            rest.extend(value.values())
        elif isinstance(value, statecache.CacheAware):
            rest.extend(value.get_referents_for_cache())
    return total


def commit_together(context: Any) -> None:
    """FnApiUserStateContext.commit, but that it waits once."""
    sent = [answer for state in context._all_states.values() if (answer := _send(state)) is not None]
    for answer in sent:
        answer.get()


def _send(state: Any) -> Any:
    """Sends the writes of a state; gives what to wait for, or None."""
    bag = getattr(state, "_underlying_bag_state", state)
    if type(bag) is not bundle_processor.SynchronousBagRuntimeState:
        return state.commit()
    answer = None
    if bag._cleared:
        answer = bag._state_handler.clear(bag._state_key)
    if bag._added_elements:
        answer = bag._state_handler.extend(bag._state_key, bag._value_coder.get_impl(), bag._added_elements)
    return answer
