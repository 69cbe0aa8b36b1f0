"""What the page computes is what the simulator traces: times and holdings."""

from pathlib import Path

import pytest

from collectives import Clock, trace
from collectives.algorithms import PRIMITIVES, REGISTRY
from collectives.explain.html import text
from collectives.explain.schedule import RANKS, Recorder

SOURCE = text("app/engine.js")
ENGINE = (text("app/data.js") + SOURCE).replace("export ", "")
COMPARE = Path(__file__).with_name("compare.js").read_text(encoding="utf-8").replace("export ", "")
CLOCKS = Clock(2e-6, 1e-10, 5e-11), Clock(1, 0, 0), Clock(0, 1e-9, 1e-9)


def expected(made, units):
    """What `compare.js` holds the page's results against."""
    whole = made.parts[-1].stop
    parts = [
        next(k for k, part in enumerate(made.parts) if part.start <= u * whole // units < part.stop)
        for u in range(units)
    ]
    names = [",".join(map(str, made.contributions(k))) for k in range(len(made.values))]

    def held(rank, number):
        cells = made.held(rank, number)
        return [sorted(names[value] for value in cells[part]) for part in parts]

    return {
        "time": made.time,
        "finished": [rank.finished for rank in made.ranks],
        "beats": made.beats,
        "rounds": [[[x.start, x.end, x.beat, x.until] for x in rank.rounds] for rank in made.ranks],
        "messages": [
            [x.source, x.dest, x.sent, x.taken, x.nbytes, x.left, x.arrived, x.beat]
            for x in made.messages
        ],
        "held": [
            [held(rank, number) for number in range(len(mine.rounds) + 1)]
            for rank, mine in enumerate(made.ranks)
        ],
    }


def cases(algorithm, ranks, clocks, root=0):
    """An algorithm's schedules, and its traces."""
    recorder = Recorder(algorithm, {}, root)
    options = {**recorder.parameters, "root": root}
    for p in ranks:
        if (run := recorder.run(p)) is None:
            continue
        unit = 4 * run["grain"]
        n = 0 if algorithm.primitive == "barrier" else unit * run["units"]
        for clock in clocks:
            for late in ({}, {p // 2: 3 * clock.alpha + 100 * clock.beta}):
                options |= {"p": p, "n": n, "clock": clock, "late": late}
                made = trace(algorithm.primitive, algorithm.name, **options)
                yield {
                    "name": f"{algorithm}, p = {p}, {clock}, late {late}",
                    "run": run,
                    "clock": {"alpha": clock.alpha, "beta": clock.beta, "gamma": clock.gamma},
                    "bytes": unit,
                    "disturbed": {"late": late},
                    "expected": expected(made, run["units"]),
                }


def differences(browser, given):
    page = browser.new_page()
    try:
        return page.evaluate(
            f"""(cases) => {{ {ENGINE} {COMPARE}
            for (const one of cases) one.run = unfolded(one.run);
            return differences({{ times, holdings }}, cases); }}""",
            list(given),
        )
    finally:
        page.close()


@pytest.mark.share(5)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_page_computes_what_the_simulator_traces(primitive, browser):
    names = list(REGISTRY[primitive])
    some = {names[1], names[2], names[-1]}
    given = [x for name in some for x in cases(REGISTRY[primitive][name], [5], CLOCKS[:1])]
    assert differences(browser, given) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "algorithm", [x for names in REGISTRY.values() for x in names.values()], ids=str
)
def test_for_every_p_and_clock(algorithm, browser):
    for p in RANKS:
        assert differences(browser, cases(algorithm, [p], CLOCKS)) == []


@pytest.mark.parametrize("primitive", ["bcast", "scatter", "gather", "reduce"])
def test_another_root(primitive, browser):
    algorithm = REGISTRY[primitive]["tree"]
    assert differences(browser, cases(algorithm, [5], CLOCKS[:1], root=3)) == []


def test_differences_are_found(browser):
    """The comparison is none that cannot fail."""
    [case, *_] = cases(REGISTRY["allreduce"]["ring"], [5], CLOCKS[:1])
    case["expected"]["held"][2][3][1] = ["0,1"]
    case["expected"]["rounds"][4][2][1] *= 1.001
    [times, held] = differences(browser, [case])
    assert "rounds of rank 4" in times and "held by rank 2 after round 3" in held


def test_a_slow_rank(browser):
    """All ranks twice as slow take twice as long; one of them alone, less."""
    run = Recorder(REGISTRY["allreduce"]["rabenseifner"], {}).run(6)
    slow = [{}, {str(rank): 2 for rank in range(6)}, {"3": 2}]
    page = browser.new_page()
    once, twice, one = page.evaluate(
        f"""([run, slow]) => {{ {ENGINE}
        const clock = {{ alpha: 2e-6, beta: 1e-10, gamma: 5e-11 }};
        return slow.map((each) => times(unfolded(run), clock, 1024, {{ slow: each }}).time); }}""",
        [run, slow],
    )
    page.close()
    assert twice == pytest.approx(2 * once) and once < one <= twice


def test_the_two_functions_are_short():
    lines = SOURCE.splitlines()
    code = [line for line in lines if line.strip() and not line.startswith("//")]
    assert len(code) <= 150 and max(map(len, lines)) <= 110
