"""The same messages in SimGrid: for the Python of the system, which has its package.

Reads JSON and writes JSON: when each message has come, in seconds.

    hosts     how many
    links     rates, in bytes a second
    routes    [source, dest, [link, ...], seconds, rate]: what passes the links takes so many
              seconds more, and is never faster than rate
    messages  [source, dest, bytes, [message, ...]]: those that must have come before
"""

import json
import sys
from collections import defaultdict

from simgrid import Actor, Comm, Engine, LinkInRoute, NetZone

MODEL = {
    "network/model": "CM02",
    "network/TCP-gamma": "0",
    "network/crosstraffic": "0",
    "surf/precision": "1e-12",
    "maxmin/precision": "1e-9",
}


def platform(given):
    """All hosts in one zone, with the routes that are given."""
    zone = NetZone.create_full_zone("all")
    hosts = [zone.create_host(f"{number}", 1e9) for number in range(given["hosts"])]
    links = [zone.create_link(f"link {k}", rate).seal() for k, rate in enumerate(given["links"])]
    for number, (source, dest, passed, seconds, rate) in enumerate(given["routes"]):
        port = zone.create_link(f"port {number}", rate).set_latency(seconds).seal()
        way = [LinkInRoute(link) for link in [port, *[links[k] for k in passed]]]
        ends = hosts[source].netpoint, hosts[dest].netpoint
        zone.add_route(*ends, None, None, way, False)
    zone.seal()
    return hosts


def drive(hosts, messages, came):
    """Send every message as soon as those have come that must come before."""
    waits = [len(before) for *_, before in messages]
    after = defaultdict(list)
    for number, (*_, before) in enumerate(messages):
        for each in before:
            after[each].append(number)
    comms, numbers = [], []

    def send(number):
        source, dest, nbytes, _ = messages[number]
        comms.append(Comm.sendto_async(hosts[source], hosts[dest], nbytes))
        numbers.append(number)

    for number, count in enumerate(waits):
        if not count:
            send(number)
    while comms:
        which = Comm.wait_any(comms)
        number = numbers.pop(which)
        comms.pop(which)
        came[number] = Engine.clock
        for each in after[number]:
            waits[each] -= 1
            if not waits[each]:
                send(each)


def main():
    options = [f"--cfg={key}:{value}" for key, value in MODEL.items()]
    engine = Engine(["referee", "--log=root.thres:error", *options])
    given = json.load(sys.stdin)
    came = [None] * len(given["messages"])
    hosts = platform(given)
    Actor.create("driver", hosts[0], drive, hosts, given["messages"], came)
    engine.run()
    json.dump(came, sys.stdout)


if __name__ == "__main__":
    main()
