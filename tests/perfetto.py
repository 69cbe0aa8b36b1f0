"""Whether Chrome trace JSON is what Perfetto reads: by rules of our own, and by its own program."""

import json
import os
import subprocess
from collections import defaultdict

# Names the binary `trace_processor_shell`, where it is to be tried.
BINARY = os.environ.get("PERFETTO_TRACE_PROCESSOR")

QUERY = """
SELECT (SELECT count(*) FROM slice) AS slices, (SELECT count(*) FROM flow) AS flows,
       (SELECT ifnull(sum(value), 0) FROM stats WHERE severity = 'error') AS errors;
"""


def check_chrome(made, messages):
    """Times do not go back, slices nest, and each of so many arrows begins and ends in a slice."""
    made = json.loads(json.dumps(made))
    tracks, ends, names = defaultdict(list), defaultdict(dict), set()
    for event in made["traceEvents"]:
        track = event["pid"], event["tid"]
        if event["ph"] == "M":
            names.add((event["name"], *track))
        else:
            tracks[track].append(event)
    for track, events in tracks.items():
        assert ("process_name", track[0], 0) in names and ("thread_name", *track) in names
        assert [event["ts"] for event in events] == sorted(event["ts"] for event in events)
        _check_track(events, ends)
    assert len(ends["s"]) == messages
    assert ends["s"].keys() == ends["f"].keys()


def _check_track(events, ends):
    around = []  # the ends of the slices that are open
    for event in events:
        begin = round(event["ts"] * 1000)
        if event["ph"] == "X":
            end = begin + round(event["dur"] * 1000)
            while around and around[-1] <= begin:
                around.pop()
            assert not around or end <= around[-1], "slices that overlap, and do not nest"
            around.append(end)
        else:
            while around and around[-1] < begin:
                around.pop()
            assert around, "an arrow without a slice"
            assert event["ph"] in "sf" and event["id"] not in ends[event["ph"]]
            assert event["ph"] == "s" or event["bp"] == "e"
            ends[event["ph"]][event["id"]] = begin


def check_file(path):
    """Perfetto's own program reads a file, and finds all slices and arrows."""
    made = json.loads(path.read_text())["traceEvents"]
    query = path.with_suffix(".sql")
    query.write_text(QUERY)
    done = subprocess.run(
        [BINARY, "-q", query, path], capture_output=True, text=True, timeout=60, check=True
    )
    numbers = [int(word) for word in done.stdout.replace(",", " ").split() if word.isdigit()]
    kinds = [event["ph"] for event in made]
    assert numbers == [kinds.count("X"), kinds.count("s"), 0]
