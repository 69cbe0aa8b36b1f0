"""Machines in words: lines, files, presets, and what is no machine."""

import math
from itertools import pairwise

import pytest

from collectives import ArgumentError, Clock, LogGP, Machine, simulate
from collectives.__main__ import main
from collectives.machine import dumps, machine
from collectives.machine.networks import Dragonfly, FatTree, Star, Torus
from collectives.machine.spec import presets
from collectives.units import parse_rate, parse_seconds
from collectives.units import rate as rate_text

GOOD = [
    "flat",
    "flat,latency=3us,rate=10G,gamma=0.06ns,delta=0.1ns,eager=8K,noise=0.05,late=1ms,seed=7",
    "flat,latency=3us,overhead=1us,gap=0.4us,rate=1.7 GB/s",
    "nodes:8x8,nic=25G,latency=10us",
    "nodes:x4,nic=100G,rate=30G,memory=40 GB/s,near_latency=0.3us,near_rate=9 GB/s",
    "nodes:4x8,nic=25G,nics=4,placement=cyclic,near_overhead=0.2us,near_gap=0.1us",
    "nodes:2x2,nic=1.3 MB/s,placement=[3,1,0,2]",
    "star:5,nic=1G",
    "ring:6,nic=1G,link=2G",
    "torus:2x3x4,nic=7 Gbit/s,ranks=2,placement=random:3",
    "fattree:4x3x2,nic=10G,link=40G",
    "dragonfly:5x2x3,nic=10G,nics=1",
]


@pytest.mark.parametrize("line", GOOD)
def test_what_is_written_is_read_back(line, tmp_path):
    made = machine(line)
    file = tmp_path / "cluster.toml"
    file.write_text(dumps(made, about="made for a test"))
    for again in (machine(file), machine(str(file))):
        assert again.at(4) is None or again.at(4).groups == made.at(4).groups
        assert repr(again) == repr(made)


@pytest.mark.parametrize("alpha", [1.234567890123e-6, 1 / 3, 5e-324, 7e99])
def test_numbers_are_written_exactly(alpha, tmp_path):
    file = tmp_path / "odd.toml"
    file.write_text(dumps(Machine(LogGP(alpha, alpha / 3, alpha / 7, 1e-9 / 3, alpha / 9))))
    again = machine(file).clock
    assert (again.L, again.o, again.g, again.gamma) == (alpha, alpha / 3, alpha / 7, alpha / 9)
    assert pytest.approx(1e-9 / 3, rel=1e-15) == again.G


def test_a_line_means_what_it_says():
    made = machine("nodes:8x4, nic=25G, latency=10us, near_latency=1us, near_rate=8 GB/s, gamma=0s")
    far, near = Clock(10e-6, 1 / 3.125e9, 0), Clock(1e-6, 1 / 8e9, 0)
    assert made == Machine(far, near, Star((8,)), ranks=4, nic=3.125e9)
    assert machine("flat,overhead=1us,latency=2us,rate=1 GB/s,gamma=0s") == Machine(
        LogGP(2e-6, 1e-6, 0, 1e-9, 0)
    )
    assert machine("star:9,rate=1 GB/s").nic == 1e9  # what a rank can do its NIC can
    assert machine("ring:9,nic=1 GB/s").link == 1e9
    assert (machine("flat").p, machine("nodes:x3,nic=1G").p, made.p) == (None, None, 32)


def test_a_file_may_be_changed_in_the_line(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('topology = "nodes:2x2"\nnic = "25 Gbit/s"\nsource = "my desk"\n')
    assert machine(f"{file},nic=10G").nic == 1.25e9


def test_presets():
    for name, keys in presets().items():
        assert {"about", "source"} <= set(keys), name
        made = machine(name)
        assert simulate("allreduce", "ring", p=8, n=10**6, topology=name).time > 0
        assert machine(f"{name},latency=1ms").clock.way.latency + made.clock.way.first > 0


def test_units():
    assert [parse_rate(x) for x in ("25G", "25Gbit/s", "25 Gbit/s", "3.125 GB/s")] == [3.125e9] * 4
    assert (parse_rate("800 bit/s"), parse_rate("1e3 kB/s"), parse_rate("inf")) == (
        100,
        1e6,
        math.inf,
    )
    assert [parse_seconds(x) for x in ("10us", "0.01 ms", "1e-5 s", "10000ns")] == [1e-5] * 4
    assert [rate_text(x) for x in (3.125e9, 12.5e6, 1.0)] == ["25 Gbit/s", "100 Mbit/s", "8 bit/s"]
    for text in ("25", "25 G/s", "-1G", "0G", "nan", "GB/s", "1e400 GB/s"):
        with pytest.raises(ValueError, match="a rate such as"):
            parse_rate(text)
    for text in ("10", "-1us", "inf", "nan s", "1 min", "1e400s"):
        with pytest.raises(ValueError, match="a time such as"):
            parse_seconds(text)


WRONG = {
    "nodes:8x8,nic=0": "nic must be a rate above 0, as 25G .*, got '0'",
    "nodes:8x8,nic=0G": "nic must be a rate above 0",
    "nodes:8x8,nic=25": "nic must be a rate above 0",
    "nodes:8x8,nic=-25G": "nic must be a rate above 0",
    "nodes:8x8,nic=nan": "nic must be a rate above 0",
    "nodes:8x8": "nic must be given for topology",
    "nodes:8x8,latency=1us": "nic must be given for topology",
    "nodes:8x8,nic=25G,latency=-1us": "latency must be a time from 0 on, as 10us.*, got '-1us'",
    "nodes:8x8,nic=25G,latency=inf": "latency must be a time from 0 on",
    "nodes:8x8,nic=25G,latency=infs": "latency must be a time from 0 on",
    "nodes:8x8,nic=25G,latency=1e200s": "latency must be a time from 0 on",
    "nodes:8x8,nic=25G,latency=10": "latency must be a time from 0 on",
    "nodes:8x8,nic=25G,gamma=-1ns": "gamma must be a time for a byte",
    "nodes:8x8,nic=25G,speed=3": "key must be one of topology, latency, .*, got 'speed'",
    "nodes:8x8,nic=25G,nic=10G": "nic is given twice",
    "nodes:8x8,nic": "needs key=value .*, got 'nic'",
    "nodes:8x8,nic=25G,ranks=3": "ranks is given by the topology already",
    "nodes:8x8,nic=25G,nics=9": "nics must be at most the 8 ranks of a node, got 9",
    "nodes:8x8,nic=25G,nics=0": "nics must be an integer from 1 on, got 0",
    "nodes:8x8,nic=25G,nics=two": "nics must be NICs of each node, a number",
    "nodes:8x8,nic=25G,link=1G": "link is for networks with links",
    "nodes:8,nic=25G": "topology must be nodes:NODESxRANKS or xRANKS",
    "nodes:8x0,nic=25G": "topology must be nodes:NODESxRANKS or xRANKS",
    "nodes:8x8x8,nic=25G": "topology must be nodes:NODESxRANKS or xRANKS",
    "torus:4x,nic=25G": "topology must be torus:AxBx",
    "ring:2x2,nic=25G": "topology must be ring:NODES ",
    "fattree:8x8,nic=25G": "topology must be fattree:LEAVESxNODESxUPPER",
    "dragonfly:8x8,nic=25G": "topology must be dragonfly:GROUPSxROUTERSxNODES",
    "flat:3": "topology flat has no numbers",
    "flat,nic=25G": "nic is for nodes, got topology flat",
    "flat,near_latency=1us": "near_latency is for nodes, got topology flat",
    "nodes:999999999x999999999,nic=1G": "topology must have at most 1048576 places and links",
    "torus:2000x2000,nic=1G": "topology must have at most 1048576 places",
    "dragonfly:2000x2x1,nic=1G": "topology must have at most 1048576 places and links",
    "fattree:2x2x999999,nic=1G": "topology must have at most 1048576 places and links",
    "hypercube:4,nic=25G": "a network .*, a preset .* or a TOML file, got 'hypercube:4'",
    "": "begins with a network",
    "no/such/file.toml": r"a file that can be read is needed, got no/such/file.toml \(No such",
    "nodes:2x2,nic=1G,placement=sorted": "placement must be block, cyclic, random:SEED",
    "nodes:2x2,nic=1G,placement=random": "placement must be block, cyclic, random:SEED",
    "nodes:2x2,nic=1G,placement=[0,x]": "placement must be block, cyclic, random:SEED",
    "nodes:2x2,nic=1G,placement=[-1,2]": "placement must be block, cyclic, random:SEED",
    "flat,eager=-3": "eager must be bytes, as 8K",
    "flat,noise=-1": "noise must be a share",
    "flat,noise=nan": "noise must be a share",
    "flat,late=-1s": "late must be a time",
    "flat,seed=x": "seed must be a number from 0 on",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_no_machine(line):
    for call in (
        lambda: machine(line),
        lambda: simulate("allreduce", "ring", p=4, n=100, topology=line),
    ):
        with pytest.raises(ArgumentError, match=WRONG[line]) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [3, None, [], 2.5, Star((3,))])
def test_what_is_no_description(value):
    with pytest.raises(ArgumentError, match="needs a line, a preset or a file, got"):
        machine(value)


@pytest.mark.parametrize(
    "text, wrong",
    [
        ('topology = "nodes:2x2"\nnic = "1G"\nnicks = 2\n', "key must be one of .*, got 'nicks'"),
        ('topology = "nodes:2x2"\nnic = 0\n', "nic must be a rate above 0, .*, got 0"),
        ('topology = "nodes:2x2"\nnic = true\n', "nic must be a rate above 0, .*, got True"),
        ("topology = 3\n", "topology must be one of flat, nodes, .*, got 3"),
        ('topology = "flat"\nlatency = -1.0\n', "latency must be a time .*, got -1.0"),
        ('topology = "flat"\n[latency]\nfar = 3\n', "latency must be a time"),
        ("nic = \n", "a file in TOML is needed"),
        ("\x00", "a file in TOML is needed"),
        ("a = " + "[" * 5000, "a file in TOML is needed"),
        ("", "a file with keys is needed"),
        ("# nothing", "a file with keys is needed"),
    ],
)
def test_wrong_files(text, wrong, tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(ArgumentError, match=wrong) as caught:
        machine(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong, complaint",
    [
        ({"clock": 3}, "clock must be a Clock or a LogGP, got 3"),
        ({"near": "fast"}, "near must be a Clock or a LogGP"),
        ({"network": "star"}, "network must be of the class Network"),
        ({"ranks": 0}, "ranks must be an integer from 1 on"),
        ({"nic": 0}, "nic must be a number of bytes a second above 0, got 0"),
        ({"nic": -1.0}, "nic must be a number of bytes a second above 0"),
        ({"link": math.nan}, "link must be a number of bytes a second above 0"),
        ({"memory": "much"}, "memory must be a number of bytes a second above 0"),
        ({"delta": math.inf}, "delta must be a number of seconds"),
        ({"late": -1}, "late must be a number of seconds"),
        ({"noise": math.nan}, "noise must be a share"),
        ({"eager": 1.5}, "eager must be an integer"),
        ({"seed": None}, "seed must be an integer"),
        ({"placement": 3}, "placement must be block"),
        ({"nic": 1e9}, "nic is for nodes, got no network"),
        ({"near": Clock()}, "near is for nodes, got no network"),
    ],
)
def test_wrong_machines(wrong, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        Machine(**wrong)


def test_times_of_loggp():
    for name in ("L", "o", "g", "G", "gamma"):
        for value in (-1, math.inf, math.nan, "1", None):
            with pytest.raises(ArgumentError, match=f"LogGP: {name} must be a number of seconds"):
                LogGP(**{name: value})


def test_a_topology_must_fit_the_ranks():
    small = "nodes:2x4,nic=25G"
    for call in (
        lambda: machine(small).groups(9),
        lambda: simulate("allreduce", "ring", p=9, n=100, topology=small),
        lambda: simulate("bcast", "hierarchical", p=9, n=100, topology=small),
    ):
        with pytest.raises(ArgumentError, match=r"p must be at most 8, .*, got 9; take a larger"):
            call()
    assert machine(small).groups(5) == (0, 0, 0, 0, 1)  # part of it may be used
    listed = machine("nodes:2x2,nic=1G,placement=[0,1,2]")
    with pytest.raises(ArgumentError, match="a place for each of 4 ranks, got 3"):
        listed.groups(4)
    for places, wrong in (("[0,1,1]", "0 to 3, got 1 twice"), ("[0,4,1]", "0 to 3, got 4")):
        with pytest.raises(ArgumentError, match=wrong):
            machine(f"nodes:2x2,nic=1G,placement={places}").groups(3)


def test_one_of_clock_and_topology():
    with pytest.raises(ArgumentError, match=r"allreduce.ring: one of clock and topology is needed"):
        simulate("allreduce", "ring", p=4, clock=Clock(), topology="flat")


# Networks.


@pytest.mark.parametrize(
    "network",
    [Torus((7,)), Torus((4, 3)), Torus((2, 2, 3)), FatTree((3, 4, 2)), Dragonfly((5, 2, 2))],
    ids=str,
)
def test_routes_lead_from_one_node_to_the_other(network):
    """As the names of the links say, and in as few steps as there can be."""
    for source in range(network.nodes):
        for dest in range(network.nodes):
            names = [network.links[link] for link in network.route(source, dest)]
            ends = [tuple(name.removeprefix("link from ").split(" to ")) for name in names]
            assert len(set(names)) == len(names)
            if isinstance(network, Torus) and source != dest:
                assert ends[0][0] == f"node {source}" and ends[-1][1] == f"node {dest}"
                assert all(one[1] == other[0] for one, other in pairwise(ends))
                places = zip(network._place(source), network._place(dest), network.shape)
                assert len(ends) == sum(min((a - b) % k, (b - a) % k) for a, b, k in places)


def test_fat_tree_takes_the_switch_of_the_destination():
    tree = FatTree((8, 8, 2))
    assert [tree.links[link] for link in tree.route(3, 21)] == [
        "link from leaf 0 up to switch 1",
        "link from switch 1 down to leaf 2",
    ]
    assert tree.route(0, 7) == () and tree.nodes == 64


def test_dragonfly_takes_the_one_link_between_two_groups():
    fly = Dragonfly((4, 3, 2))  # each router of a group has the link to one other group
    assert [fly.links[link] for link in fly.route(0, 23)] == [
        "link from router 0 to router 2 of group 0",
        "link from group 0 to group 3",
        "link from router 0 to router 2 of group 3",
    ]
    assert [fly.links[link] for link in fly.route(0, 2)] == [
        "link from router 0 to router 1 of group 0"
    ]
    assert fly.route(0, 1) == ()


def test_placement():
    described = "nodes:3x2,nic=1G,placement="
    assert machine(f"{described}block").groups(6) == (0, 0, 1, 1, 2, 2)
    assert machine(f"{described}cyclic").groups(6) == (0, 1, 2, 0, 1, 2)
    assert machine(f"{described}[5,0,3]").groups(3) == (2, 0, 1)
    drawn = machine(f"{described}random:4").groups(6)
    assert sorted(drawn) == [0, 0, 1, 1, 2, 2] and drawn != machine(f"{described}random:5").groups(
        6
    )
    assert machine("nodes:x2,nic=1G,placement=cyclic").groups(5) == (0, 1, 2, 0, 1)


def test_nics_of_a_node():
    placed = machine("nodes:2x4,nic=1G,nics=2").at(8)
    names = [[placed.links[link].name for link in placed.route(0, rank)] for rank in (5, 6)]
    assert names == [
        ["NIC 0 of node 0, out", "NIC 0 of node 1, in"],
        ["NIC 0 of node 0, out", "NIC 1 of node 1, in"],
    ]
    assert placed.route(0, 3) == ()


# The command line.


@pytest.mark.parametrize(
    "arguments, wrong",
    [
        (["--topology", "nodes:2x4,nic=0G"], "nic must be a rate above 0"),
        (["--topology", "nodes:2x4,nic=1G", "-p", "9"], "p must be at most 8"),
        (["--topology", "nodes:2x4,nic=1G", "--alpha", "1"], "one of --topology and --alpha"),
    ],
)
def test_explain_says_what_is_wrong(arguments, wrong, capsys):
    try:
        status = main(["explain", "bcast", "tree", *arguments])
    except SystemExit as end:
        status = end.code
    assert status and wrong in capsys.readouterr().err


def test_explain_takes_a_topology(capsys):
    assert main(["explain", "bcast", "tree", "--topology", "nodes:2x2,nic=25G,latency=10us"]) == 0
    assert "p = 4" in capsys.readouterr().out
