"""A ROUTER of bare pyzmq that sends every message back to whoever sent it, for ever.

It prints its address. Its one argument is the high-water mark of both directions.
"""

from __future__ import annotations

import sys

import zmq


def main(high_water_mark: int) -> None:
    router: zmq.Socket[bytes] = zmq.Context().socket(zmq.ROUTER)
    router.set_hwm(high_water_mark)
    # Without it, a ROUTER drops what a full peer has no room for.
    router.set(zmq.ROUTER_MANDATORY, 1)
    # Little room in the kernel too, or it would hold thousands of messages beyond the mark.
    router.set(zmq.SNDBUF, 4096)
    router.set(zmq.RCVBUF, 4096)
    router.bind("tcp://127.0.0.1:*")
    print(router.get(zmq.LAST_ENDPOINT).decode(), flush=True)
    while True:
        router.send_multipart(router.recv_multipart())


if __name__ == "__main__":
    main(int(sys.argv[1]))
