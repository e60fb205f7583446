"""What gevent's users expect, each as a function of a manager that waits in greenlets.

Tests call them. `python -m gevent.monkey --module` runs those whose names begin as the argument
says in a patched process. No wait of a verb ends by itself: a wake-up that is lost shows.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import gevent
import zmq
from gevent.event import Event
from gevent.pool import Pool
from gevent.queue import Queue
from gevent.threadpool import ThreadPool

from agentzero import SocketManager, steps
from agentzero.backends.native import native
from agentzero.errors import SocketClosed

Verb = Callable[[SocketManager], object]

# How long what is sure to come may take, in seconds.
PATIENCE = 20.0
# Longer than any test: nobody is saved by asking again.
ENDLESS = 120.0
PATIENT = {"timeout": ENDLESS, "polling_timeout": ENDLESS * 1000, "linger": 0}
TURNS = 20
MANY = 5000  # times that something is done which never has to wait
ENOUGH = 5  # turns of another greenlet meanwhile


def turns(number: int = TURNS) -> None:
    """Let the other greenlets, and the event loop, run so many times."""
    for _ in range(number):
        gevent.sleep(0.001)


def eventually(condition: Callable[[], object]) -> None:
    while not condition():
        gevent.sleep(0.001)


def ended(tasks: Iterable[Any]) -> list[Any]:
    """Wait for greenlets; return what they returned, or raise what one of them raised."""
    waited_for = list(tasks)
    gevent.joinall(waited_for, raise_error=True)
    return [task.value for task in waited_for]


def natively(function: Callable[[], object]) -> None:
    """Call a function, which does not wait, in a native thread without a hub."""
    over: list[bool] = []
    native("_thread", "start_new_thread")(lambda: (function(), over.append(True)), ())
    eventually(lambda: over)


def beside(functions: list[Callable[[], Any]]) -> list[Any]:
    """What functions return that run at once, in a native thread each."""
    pool, workers = ThreadPool(len(functions)), set[int]()

    def noted(function: Callable[[], Any]) -> Any:
        workers.add(threading.get_native_id())
        return function()

    results = [result.get() for result in [pool.spawn(noted, function) for function in functions]]
    pool.kill()
    # The interpreter may crash when it ends while a worker of gevent's is still ending.
    eventually(lambda: not workers & native_threads())
    return results


def native_threads() -> set[int]:
    """The ids of those there are, libzmq's included; none where the system does not tell."""
    tasks = Path("/proc/self/task")
    return {int(task.name) for task in tasks.iterdir()} if tasks.is_dir() else set()


def pipe(sockets: SocketManager, high_water_mark: int = 1000) -> None:
    """Make a PULL "in" and a PUSH "out" that is connected to it."""
    for name, kind in (("in", zmq.PULL), ("out", zmq.PUSH)):
        sockets.create(name, kind)
        sockets.set_socket_option(name, zmq.HWM, high_water_mark)
    sockets.bind("in", "inproc://jobs")
    sockets.connect("out", "inproc://jobs")


def begun(tasks: list[Any]) -> list[Any]:
    """Return greenlets once each of them waits for something."""
    turns(3)
    assert not any(task.ready() for task in tasks)
    return tasks


def nobody_waits(sockets: SocketManager) -> None:
    for channel in sockets._channels.values():
        assert not channel._waiters, channel
        assert not channel._attending, channel
    assert not sockets._registered._waiting


# Verbs that wait

WAITS: dict[str, Verb] = {
    "recv": lambda sockets: sockets.recv("idle"),
    "recv_multipart": lambda sockets: sockets.recv_multipart("idle"),
    "recv_event": lambda sockets: sockets.recv_event("silent", "topic"),
    "subscribe": lambda sockets: next(sockets.subscribe("silent", "topic"), "closed"),
    "engage": lambda sockets: sockets.engage(),
    "ready": lambda sockets: sockets.ready("idle", zmq.POLLIN),
    "wait_until_ready": lambda sockets: sockets.wait_until_ready("full", zmq.POLLOUT),
    "send": lambda sockets: sockets.send("full", 1),
    "send_multipart": lambda sockets: sockets.send_multipart("full", [b"1", b"2"]),
}


def idle(sockets: SocketManager) -> None:
    """Make sockets on which every verb has to wait."""
    sockets.ensure_and_bind("idle", zmq.PULL, "inproc://idle", zmq.POLLIN)
    sockets.ensure_and_bind("silent", zmq.SUB, "inproc://silent", zmq.POLLIN)
    sockets.create("full", zmq.PUSH)


def how_it_ends(verb: Verb, sockets: SocketManager) -> object:
    try:
        return verb(sockets)
    except SocketClosed:
        return "closed"


def others_go_on(verb: Verb, sockets: SocketManager) -> None:
    idle(sockets)
    [task] = begun([gevent.spawn(how_it_ends, verb, sockets)])
    turns()
    assert not task.ready()
    for name in sockets.names():
        sockets.close(name)
    assert ended([task]) == ["closed"]


def a_native_thread_closes(verb: Verb, sockets: SocketManager) -> None:
    idle(sockets)
    tasks = begun([gevent.spawn(how_it_ends, verb, sockets) for _ in range(3)])
    natively(lambda: [sockets.close(name) for name in sockets.names()])
    assert ended(tasks) == ["closed"] * 3


def a_timeout_ends_it(verb: Verb, sockets: SocketManager) -> None:
    idle(sockets)
    with gevent.Timeout(0.01, False):
        raise AssertionError(verb(sockets))
    nobody_waits(sockets)


def a_kill_ends_it(verb: Verb, sockets: SocketManager) -> None:
    idle(sockets)
    [task] = begun([gevent.spawn(verb, sockets)])
    task.kill()
    assert isinstance(task.value, gevent.GreenletExit)
    nobody_waits(sockets)


# Verbs that need not wait

GO_ON: dict[str, Verb] = {
    "recv": lambda sockets: sockets.recv("in"),
    "recv_safe(timeout=0)": lambda sockets: sockets.recv_safe("in", timeout=0),
    "recv_safe(timeout=0) in vain": lambda sockets: sockets.recv_safe("idle", timeout=0),
    "recv_event": lambda sockets: sockets.recv_event("news", timeout=0),
    "send": lambda sockets: sockets.send("nobody", 1),
    "send_safe(timeout=0) in vain": lambda sockets: sockets.send_safe("full", 1, timeout=0),
    "publish": lambda sockets: sockets.publish("nobody", "topic", 1),
    "engage": lambda sockets: sockets.engage(),
    "engage(0)": lambda sockets: sockets.engage(0),
    "ready": lambda sockets: sockets.ready("nobody", zmq.POLLOUT),
    "ready(0)": lambda sockets: sockets.ready("nobody", zmq.POLLOUT, 0),
    "ready(0) in vain": lambda sockets: sockets.ready("idle", zmq.POLLIN, 0),
    "wait_until_ready": lambda sockets: sockets.wait_until_ready("in", zmq.POLLIN),
}


def busy(sockets: SocketManager) -> None:
    """Make sockets on which no verb has to wait, soon."""
    idle(sockets)
    pipe(sockets, high_water_mark=0)
    for name, kind in (("press", zmq.XPUB), ("news", zmq.SUB), ("nobody", zmq.PUB)):
        sockets.create(name, kind)
        sockets.set_socket_option(name, zmq.HWM, 0)
    sockets.register_socket(sockets.get_by_name("nobody"), zmq.POLLOUT)
    sockets.bind("press", "inproc://news")
    sockets.connect("news", "inproc://news")
    sockets.set_topic("news", "topic")
    assert sockets.recv_multipart("press") == [b"\1topic"]
    for _ in range(MANY):
        sockets.get_by_name("out").send(b"1", zmq.NOBLOCK)
        sockets.get_by_name("press").send_multipart([b"topic", b"1"], zmq.NOBLOCK)


def gives_turns(once: Callable[[], object]) -> None:
    """Do something again and again; another greenlet must get its turns meanwhile."""
    ticks = count()
    ticker = gevent.spawn(
        lambda: [gevent.sleep(0) for _ in zip(range(ENOUGH), ticks, strict=False)]
    )
    for _ in range(MANY):
        once()
        if ticker.ready():
            return
    raise AssertionError(f"{next(ticks)} turns")


def others_get_turns(verb: Verb, sockets: SocketManager) -> None:
    busy(sockets)
    gives_turns(partial(verb, sockets))


def others_get_turns_beside_a_subscription(sockets: SocketManager) -> None:
    busy(sockets)
    gives_turns(partial(next, sockets.subscribe("news")))


# Many greenlets


def a_pool_shares_two_sockets(sockets: SocketManager) -> None:
    pipe(sockets, high_water_mark=2)

    def one(number: int) -> int:
        sockets.send("out", number)
        received: int = sockets.recv("in")
        return received

    assert sorted(Pool(20).imap_unordered(one, range(200))) == list(range(200))
    nobody_waits(sockets)


def a_pool_asks_one_server(sockets: SocketManager) -> None:
    sockets.ensure_and_bind("server", zmq.ROUTER, "inproc://server")

    def serve() -> None:
        for _ in range(200):
            identity, question = sockets.recv_from("server")
            sockets.send_to("server", identity, question * 2)

    def ask(number: int) -> object:
        name = f"client {number}"
        sockets.ensure_and_connect(name, zmq.REQ, "inproc://server")
        sockets.send(name, number)
        answer = sockets.recv(name)
        sockets.close(name)
        return answer

    server = gevent.spawn(serve)
    assert Pool(20).map(ask, range(200)) == [number * 2 for number in range(200)]
    ended([server])


def send_and_receive(sockets: SocketManager, greenlets: int = 5, each: int = 40) -> list[int]:
    """Have greenlets send as many numbers to "out" as others receive from "in"; return those."""
    received: list[int] = []

    def receive() -> None:
        for _ in range(each):
            received.append(sockets.recv("in"))

    def send() -> None:
        for number in range(each):
            sockets.send("out", number)

    ended(gevent.spawn(task) for task in [receive, send] * greenlets)
    return received


def hubs_have_a_manager_each(sockets: SocketManager) -> None:
    def alone() -> list[int]:
        with SocketManager(zmq=sockets.zmq, backend="gevent", **PATIENT) as own:
            pipe(own, high_water_mark=2)
            return sorted(send_and_receive(own))

    expected = sorted(list(range(40)) * 5)
    here = gevent.spawn(alone)
    assert beside([alone] * 4) == [expected] * 4
    assert ended([here]) == [expected]


def hubs_share_a_manager(sockets: SocketManager) -> None:
    pipe(sockets, high_water_mark=2)
    here = gevent.spawn(send_and_receive, sockets)
    received = beside([partial(send_and_receive, sockets)] * 3) + ended([here])
    assert sorted(chain.from_iterable(received)) == sorted(list(range(40)) * 20)
    nobody_waits(sockets)


def engage_and_receive(sockets: SocketManager, received: list[int]) -> None:
    """Receive what `engage` tells of, until the socket is closed."""
    while True:
        for socket in sockets.engage():
            assert socket is sockets.get_by_name("in")
            if (number := sockets.recv_safe("in", timeout=0)) is not None:
                received.append(number)


def several_engage(sockets: SocketManager) -> None:
    """Two greenlets here, and two in a hub of their own, for the same socket."""
    pipe(sockets)
    sockets.register_socket(sockets.get_by_name("in"), zmq.POLLIN)
    received: list[int] = []

    def engage() -> list[Any]:
        share = partial(engage_and_receive, received=received)
        return ended(gevent.spawn(how_it_ends, share, sockets) for _ in range(2))

    def send() -> None:
        for number in range(200):
            sockets.send("out", number)
            if number % 2:
                eventually(lambda enough=number + 1: len(received) == enough)
        sockets.close("in")

    here = gevent.spawn(engage)
    assert beside([engage, send]) == [["closed"] * 2, None]
    assert ended([here]) == [["closed"] * 2]
    assert sorted(received) == list(range(200))
    nobody_waits(sockets)


def a_thousand_wait_on_a_thousand_sockets(sockets: SocketManager) -> None:
    sockets.create("out", zmq.PUSH)
    names = [f"in {number}" for number in range(1000)]
    for name in names:
        sockets.ensure_and_bind(name, zmq.PULL, f"inproc://{name}")
        sockets.connect("out", f"inproc://{name}")
    tasks = begun([gevent.spawn(sockets.recv, name) for name in names])
    for number in range(1000):
        sockets.send("out", number)
    assert sorted(ended(tasks)) == list(range(1000))
    nobody_waits(sockets)


# Greenlets that stop waiting


def a_message_outlives_who_waited_for_it(sockets: SocketManager) -> None:
    pipe(sockets)
    with gevent.Timeout(0.01, False):
        sockets.recv("in")
    timed = gevent.spawn(sockets.recv_safe, "in", 0.05)
    begun([gevent.spawn(sockets.recv, "in")])[0].kill()
    assert ended([timed]) == [None]
    nobody_waits(sockets)
    sockets.send("out", "for somebody")
    assert sockets.recv("in") == "for somebody"


def who_is_killed_as_the_message_comes_leaves_it_to_another(sockets: SocketManager) -> None:
    pipe(sockets)
    for number in range(20):
        tasks = begun([gevent.spawn(sockets.recv, "in") for _ in range(3)])
        sockets.send("out", number)  # nobody had a turn since
        victims = [task for index, task in enumerate(tasks) if index != number % 3]
        gevent.killall(victims)
        assert ended([tasks[number % 3]]) == [number]
        nobody_waits(sockets)


def kills_at_any_time_lose_nothing(sockets: SocketManager) -> None:
    pipe(sockets, high_water_mark=2)
    received: list[int] = []
    chance = random.Random(1)

    def receive() -> None:
        while True:
            received.append(sockets.recv("in"))

    sender = gevent.spawn(lambda: [sockets.send("out", number) for number in range(500)])
    tasks = [gevent.spawn(receive) for _ in range(5)]
    while len(received) < 500:
        victim = chance.randrange(5)
        tasks[victim].kill(block=chance.random() < 0.5)
        tasks[victim] = gevent.spawn(receive)
        gevent.sleep(chance.choice([0, 0, 0.001]))
    ended([sender])
    gevent.killall(tasks)
    assert sorted(received) == list(range(500))
    nobody_waits(sockets)


def timeouts_at_any_time_lose_nothing(sockets: SocketManager) -> None:
    pipe(sockets, high_water_mark=2)
    received: list[int] = []
    chance = random.Random(1)

    def receive() -> None:
        while len(received) < 500:
            with gevent.Timeout(chance.choice([0, 0.001, 0.002]), False):
                received.append(sockets.recv("in"))

    sender = gevent.spawn(lambda: [sockets.send("out", number) for number in range(500)])
    ended([sender, *(gevent.spawn(receive) for _ in range(5))])
    assert sorted(received) == list(range(500))
    nobody_waits(sockets)


# Beside gevent's own


def events_and_queues_go_on_beside_it(sockets: SocketManager) -> None:
    pipe(sockets)
    queue: Queue[Any] = Queue()
    over = Event()

    def move() -> None:
        while (number := sockets.recv("in")) is not None:
            queue.put(number)
        over.set()

    mover = gevent.spawn(move)
    takers = [gevent.spawn(queue.get) for _ in range(10)]
    for number in range(10):
        sockets.send("out", number)
    assert sorted(ended(takers)) == list(range(10))
    assert not over.is_set()
    sockets.send("out", None)
    assert over.wait(PATIENCE)
    ended([mover])


def a_native_thread_closes_the_manager_of_several_hubs(sockets: SocketManager) -> None:
    idle(sockets)
    ready: list[bool] = []

    def wait() -> list[Any]:
        tasks = [gevent.spawn(how_it_ends, verb, sockets) for verb in WAITS.values()]
        ready.append(bool(begun(tasks)))
        return ended(tasks)

    def close() -> None:
        eventually(lambda: len(ready) == 3)
        sockets.close_all()

    here, closed = gevent.spawn(wait), ["closed"] * len(WAITS)
    assert beside([wait, wait, close]) == [closed, closed, None]
    assert ended([here]) == [closed]


# The socket that is handed out


def its_own_recv_lets_others_run(sockets: SocketManager) -> None:
    pipe(sockets)
    [task] = begun([gevent.spawn(sockets.get_by_name("in").recv)])
    sockets.get_by_name("out").send(b"hello")
    assert ended([task]) == [b"hello"]


def its_own_send_lets_others_run(sockets: SocketManager) -> None:
    out = sockets.ensure_and_bind("out", zmq.PUSH, "inproc://jobs")
    [task] = begun([gevent.spawn(out.send, b'"hello"')])
    turns()
    assert not task.ready()
    sockets.ensure_and_connect("in", zmq.PULL, "inproc://jobs")
    ended([task])
    assert sockets.recv("in") == "hello"


def its_own_poll_lets_others_run(sockets: SocketManager) -> None:
    pipe(sockets)
    [task] = begun([gevent.spawn(sockets.get_by_name("in").poll, PATIENCE * 1000)])
    sockets.send("out", 1)
    assert ended([task]) == [zmq.POLLIN]


def its_own_recv_waits_beside_a_verb(sockets: SocketManager) -> None:
    pipe(sockets)
    for _ in range(20):
        own = gevent.spawn(sockets.get_by_name("in").recv)
        tasks = begun([own, gevent.spawn(sockets.recv, "in")])
        sockets.send("out", 1)
        sockets.send("out", 1)
        assert ended(tasks) == [b"1", 1]


def its_own_recv_is_told_of_what_a_verb_found(sockets: SocketManager) -> None:
    sockets.ensure_and_bind("here", zmq.DEALER, "inproc://here")
    sockets.ensure_and_connect("there", zmq.DEALER, "inproc://here")
    [task] = begun([gevent.spawn(sockets.get_by_name("here").recv)])
    sockets.send("there", 1)
    sockets.send("here", 2)  # it looks at the socket, and so takes the edge
    with gevent.Timeout(5):
        assert ended([task]) == [b"1"]


# The end of the process


def exits_while_greenlets_wait(sockets: SocketManager) -> None:
    idle(sockets)
    ready: list[Verb] = []

    def wait(verb: Verb) -> None:
        ready.append(verb)
        verb(sockets)

    for verb in WAITS.values():
        gevent.spawn(wait, verb)
        threading.Thread(target=wait, args=(verb,), daemon=True).start()
    eventually(lambda: len(ready) == 2 * len(WAITS))
    turns()


def cases(prefix: str, case: Callable[[Verb, SocketManager], None], verbs: Any) -> dict[str, Any]:
    return {f"{prefix}: {name}": partial(case, verb) for name, verb in verbs.items()}


def named(*functions: Callable[[SocketManager], None]) -> dict[str, Any]:
    return {function.__name__.replace("_", " "): function for function in functions}


CASES: dict[str, Callable[[SocketManager], None]] = (
    cases("others go on beside", others_go_on, WAITS)
    | cases("a native thread closes", a_native_thread_closes, WAITS)
    | cases("a Timeout ends", a_timeout_ends_it, WAITS)
    | cases("a kill ends", a_kill_ends_it, WAITS)
    | cases("others get turns beside", others_get_turns, GO_ON)
    | named(
        others_get_turns_beside_a_subscription,
        a_pool_shares_two_sockets,
        a_pool_asks_one_server,
        hubs_have_a_manager_each,
        hubs_share_a_manager,
        several_engage,
        a_message_outlives_who_waited_for_it,
        who_is_killed_as_the_message_comes_leaves_it_to_another,
        kills_at_any_time_lose_nothing,
        timeouts_at_any_time_lose_nothing,
        events_and_queues_go_on_beside_it,
        a_native_thread_closes_the_manager_of_several_hubs,
    )
)
# Of a green socket only, which may take the wake-up of a verb: that one asks again by itself.
HANDED_OUT = named(
    its_own_recv_lets_others_run,
    its_own_send_lets_others_run,
    its_own_poll_lets_others_run,
    its_own_recv_waits_beside_a_verb,
    its_own_recv_is_told_of_what_a_verb_found,
)
# They need a process of their own.
ALONE = named(a_thousand_wait_on_a_thousand_sockets, exits_while_greenlets_wait)


def run(case: str, sockets: SocketManager) -> None:
    """Run a case to its end, within a bound."""
    with gevent.Timeout(PATIENCE, f"{case}: still running after {PATIENCE:g} s"):
        (CASES | HANDED_OUT | ALONE)[case](sockets)


def room_for_files() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))


def endless_naps() -> None:
    steps.FIRST_NAP = steps.LONGEST_NAP = ENDLESS


def main(prefix: str) -> None:
    room_for_files()
    patched = gevent.monkey.is_module_patched("socket")
    for case in CASES | HANDED_OUT | ALONE:
        if case.startswith(prefix):
            sockets = SocketManager(backend=None if patched else "gevent", **PATIENT)
            assert sockets.backend.name == "gevent"
            if case not in HANDED_OUT:
                endless_naps()
            run(case, sockets)
            if not case.startswith("exits"):
                sockets.close_all()


if __name__ == "__main__":
    main(sys.argv[1])
