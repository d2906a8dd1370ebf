"""What makes state cheap in a worker of Beam's Python SDK. Both change when things are done, never a value.

Weighing: Beam weighs every state value it caches by a walk that first lists the globals of all loaded modules: 0.25 to
0.65 ms a value, three quarters of a stateful step's time. Our states are numbers and bytes, whose size a look at them
tells. Only the weight changes, which is what the cache counts against its limit.

Committing: at the end of a bundle Beam writes one key's state, waits for the runner's answer, writes the next. With
hundreds of keys in a bundle that is all its time. All writes are sent first, and then all answers are awaited.

Reading: a key's first read is a round trip, too, of milliseconds on a busy machine. When a piece of input comes, the
state of all its keys is asked for at once, and is in Beam's cache when the keys' turn comes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

from apache_beam.coders.coder_impl import create_InputStream
from apache_beam.portability.api import beam_fn_api_pb2 as fn_api
from apache_beam.runners.worker import bundle_processor, statecache
from apache_beam.transforms.window import GlobalWindow

ENTRY = 200  # bytes of what holds a value in the cache

_ahead: dict[str, tuple[Any, Any]] = {}  # by transform: the context and the spec of the state that is read ahead
_states: set[str] = set()
_originals: dict[str, Any] = {}


def prepare_worker(read_ahead: str) -> None:
    """For a stateful DoFn's setup, with the state that every element reads. Does less where Beam has other insides."""
    _states.add(read_ahead)
    if hasattr(statecache, "get_deep_size"):
        statecache.get_deep_size = weight
    if not _originals and all(
        hasattr(bundle_processor, name) for name in ("FnApiUserStateContext", "SynchronousBagRuntimeState")
    ):
        _originals["create"] = bundle_processor.FnApiUserStateContext._create_state
        _originals["process"] = bundle_processor.DataInputOperation.process_encoded
        bundle_processor.FnApiUserStateContext.commit = commit_together
        bundle_processor.FnApiUserStateContext._create_state = _create_state
        bundle_processor.DataInputOperation.process_encoded = _process_encoded


def _create_state(context: Any, spec: Any, key: Any, window: Any) -> Any:
    if spec.name in _states:
        _ahead[context._transform_id] = context, spec
    return _originals["create"](context, spec, key, window)


def _process_encoded(operation: Any, encoded: bytes) -> None:
    try:
        known = _ahead.get(operation.consumer[0].name_context.transform_id)
        if known is not None:
            _read_ahead(*known, _keys(operation, encoded))
    except Exception:  # what is not there is read when its turn comes; a fault of the run shows then, too
        logging.getLogger(__name__).debug("state is not read ahead", exc_info=True)
    _originals["process"](operation, encoded)


def _keys(operation: Any, encoded: bytes) -> set[Any]:
    stream, keys = create_InputStream(encoded), set()
    while stream.size() > 0:
        keys.add(operation.windowed_coder_impl.decode_from_stream(stream, True).value[0])
    return keys


def _read_ahead(context: Any, spec: Any, keys: set[Any]) -> None:
    """Brings a state of keys into Beam's cache; what it holds already, or what is too large for a page, is left."""
    handler = context._state_handler
    cache, underlying = handler._state_cache, handler._underlying
    window = context._window_coder.encode(GlobalWindow())
    asked = []
    for key in keys:
        state = fn_api.StateKey.BagUserState(
            transform_id=context._transform_id,
            user_state_id=spec.name,
            window=window,
            key=context._key_coder.encode_nested(key),
        )
        state_key = fn_api.StateKey(bag_user_state=state)
        token = handler._get_cache_token(state_key)
        if not token:
            return
        place = handler._convert_to_cache_key(state_key), token
        if cache.peek(place) is None:
            request = fn_api.StateRequest(state_key=state_key, get=fn_api.StateGetRequest())
            asked.append((place, underlying._request(request)))
    decode = spec.coder.get_impl().decode_from_stream
    for place, answer in asked:
        while not answer.wait(1):
            if underlying._exception or underlying._done:
                return
        found = answer.get()
        if not found.error and not found.get.continuation_token:
            cache.put(place, list(_values(found.get.data, decode)))


def _values(data: bytes, decode: Any) -> Iterator[Any]:
    stream = create_InputStream(data)
    while stream.size() > 0:
        yield decode(stream, True)


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
