"""The page, in a real browser: what is on it, what it says, and that everybody can use it."""

import re
from contextlib import contextmanager

import pytest
from browser import expect
from launch import ROOT

from collectives import load
from collectives.algorithms import PRIMITIVES
from collectives.explain.html import page

# One algorithm of each primitive.
SHOWN = {
    "barrier": "recursive_doubling",
    "bcast": "ring",
    "scatter": "tree",
    "gather": "naive",
    "allgather": "bruck",
    "reduce": "tree",
    "allreduce": "ring",
    "reduce_scatter": "recursive_halving",
    "alltoall": "recursive_doubling",
    "scan": "recursive_doubling",
    "exscan": "123_doubling",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """`written("allreduce", "ring")`: the address of its page, which is made once."""
    folder = tmp_path_factory.mktemp("pages")

    def write(primitive, *names):
        path = folder / f"{primitive}-{'-'.join(names)}.html"
        if not path.exists():
            made = page(primitive, names)
            assert len(made.encode()) < 300_000
            path.write_text(made, encoding="utf-8")
        return path.as_uri()

    return write


@contextmanager
def opened(browser, address, still=True, width=1280, locale="en-GB"):
    """A page that is ready; it must not complain, nor ask for anything from the network."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        locale=locale,
        reduced_motion="reduce" if still else "no-preference",
        accept_downloads=True,
    )
    shown, said, asked = context.new_page(), [], []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(address)
    shown.wait_for_selector("html[data-ready]", state="attached")
    yield shown
    assert said == []
    assert all(url.startswith(("file:", "blob:", "data:")) for url in asked)
    context.close()


def assert_accessible(shown):
    """axe-core finds nothing."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(shown)
    assert found.violations_count == 0, found.generate_report()


def seen(shown):
    """All that the page shows of a moment."""
    panel = shown.locator(".panel")
    return panel.inner_text(), panel.locator("svg.network").inner_html()


@pytest.mark.share(6)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_one_of_each(primitive, browser, written):
    with opened(browser, written(primitive, SHOWN[primitive])) as shown:
        expect(shown.locator("h1")).to_contain_text(SHOWN[primitive])
        expect(shown.locator(".rank")).to_have_count(5)
        expect(shown.locator(".moment")).to_have_text(re.compile(r"Round 0 of \d+"))
        expect(shown.locator(".grid tbody tr")).to_have_count(5)

        shown.keyboard.press("ArrowRight")
        first = seen(shown)
        shown.keyboard.press("ArrowRight")
        second = seen(shown)
        assert first != second and "round=2" in shown.url
        shown.keyboard.press("ArrowLeft")
        assert seen(shown) == first
        shown.keyboard.press("End")
        expect(shown.locator(".sentence")).to_contain_text("All ranks are done.")
        expect(shown.locator(".rank.ended")).to_have_count(5)
        shown.keyboard.press("Home")
        expect(shown.locator(".sentence")).to_contain_text("Nothing has moved yet")

        shown.get_by_role("button", name="中文").click()
        expect(shown.locator(".sentence")).to_contain_text("尚未开始")
        assert shown.locator("html").get_attribute("lang") == "zh"
        assert_accessible(shown)


def test_what_it_says_of_a_round(browser, written):
    with opened(browser, written("allreduce", "ring") + "#p=5&round=3") as shown:
        expect(shown.locator(".sentence")).to_have_text(
            "Round 3 of 9. 5 messages: every rank sends to the next one on its right. 5 reductions."
        )
        first = shown.locator(".messages li").first
        expect(first).to_have_text("0 → 1 block 4 (from 4, 0) 205 KiB")
        cell = shown.locator(".grid tbody tr").nth(2).locator("td").nth(0)
        expect(cell).to_have_attribute("title", "rank 2, block 0: contributions 0–2")
        here = shown.locator(".code .here")
        expect(here).to_have_count(1)
        assert (
            "0–4" in here.inner_text() and "yield send(block[(rank - k) % p]" in here.inner_text()
        )
        path = shown.locator(".counters tr.path td")
        assert path.all_inner_texts() == ["2", "8", "≥ 3"]


def test_playing(browser, written):
    with opened(browser, written("bcast", "tree") + "#p=8&round=0", still=False) as shown:
        shown.locator("#speed").select_option("4")
        shown.locator("h1").click()  # away from the list, where a key means something else
        shown.keyboard.press("Space")
        expect(shown.get_by_role("button", name="Pause")).to_be_visible()
        expect(shown.locator(".moment")).to_have_text("Round 3 of 3", timeout=10_000)
        expect(shown.get_by_role("button", name="Play")).to_be_visible(timeout=5_000)
        shown.keyboard.press("Space")  # from the end: once more
        expect(shown.locator(".moment")).to_have_text("Round 1 of 3")


def test_true_time_with_one_rank_late(browser, written):
    with opened(browser, written("allgather", "ring") + "#p=6") as shown:
        shown.get_by_role("button", name="true time").click()
        alike = shown.locator(".counters tr.time td").nth(1).inner_text()
        shown.locator("#disturb").select_option("late")
        shown.locator("#who").select_option("3")
        expect(shown.locator(".rank").nth(3)).to_contain_text("late")
        assert shown.locator(".counters tr.time td").nth(1).inner_text() != alike
        shown.keyboard.press("ArrowRight")
        expect(shown.locator(".rank.waits .note").first).to_contain_text("waits for 3")
        expect(shown).to_have_url(re.compile("(?=.*one=late&rank=3)(?=.*moment=1)"))


def test_two_side_by_side(browser, written):
    with opened(browser, written("scan", "ring", "tree") + "#p=8&clock=time") as shown:
        expect(shown.locator(".panel")).to_have_count(2)
        shown.keyboard.press("End")
        expect(shown.locator(".counters tr.time")).to_have_count(2)
        for _ in range(4):
            shown.keyboard.press("ArrowLeft")
        assert_accessible(shown)
        expect(shown.locator(".sentence p")).to_have_count(2)
        shown.locator("#b").select_option("")
        expect(shown.locator(".panel")).to_have_count(1)


def test_choices_and_address(browser, written):
    address = written("allgather", "ring")
    with opened(browser, address + "#p=6&round=3&a=tree&n=1024&lang=zh&ranks=line") as shown:
        expect(shown.locator("h1")).to_contain_text("tree")
        expect(shown.locator("#p")).to_have_value("6")
        expect(shown.locator("#layout")).to_have_value("line")
        shown.locator("#p").select_option("16")
        shown.locator("#a").select_option("recursive_doubling")
        expect(shown.locator(".rank")).to_have_count(16)
        expect(shown).to_have_url(re.compile("a=recursive_doubling.*p=16"))
        for layout in ("ring", "tree", "hypercube"):
            shown.locator("#layout").select_option(layout)
            spots = {x.get_attribute("transform") for x in shown.locator(".rank").all()}
            assert len(spots) == 16
    nonsense = "#p=99&round=-3&a=__proto__&clock=x&one=y&n=nan"
    with opened(browser, address + nonsense) as shown:
        expect(shown.locator("#p")).to_have_value("5")


@pytest.mark.parametrize("kind", ["network", "spacetime"])
def test_picture_as_a_file(kind, browser, written):
    with opened(browser, written("reduce", "tree") + "#p=5&round=2") as shown:
        with shown.expect_download() as download:
            shown.locator(f"figure:has(svg.{kind}) .quiet").click()
        assert download.value.suggested_filename == f"tree-p5-{kind}.svg"
        drawn = download.value.path().read_text(encoding="utf-8")
        assert drawn.startswith("<svg") and "<desc>Round 2 of" in drawn and "<style>" in drawn
        alone = shown.context.new_page()
        alone.set_content(drawn)
        assert alone.locator("svg title").first.text_content()


def test_a_chinese_browser_gets_chinese(browser, written):
    with opened(browser, written("scan", "tree"), locale="zh-CN") as shown:
        expect(shown.locator(".moment")).to_have_text(re.compile("第 0 轮，共 . 轮"))


@pytest.mark.parametrize("width", [360, 768])
def test_narrow(width, browser, written):
    address = written("scan", "recursive_doubling", "tree") + "#p=16&round=3"
    with opened(browser, address, width=width) as shown:
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        expect(shown.locator("svg.network").first).to_be_visible()


def test_print(browser, written):
    with opened(browser, written("allgather", "ring") + "#p=5&round=3") as shown:
        shown.emulate_media(media="print")
        expect(shown.locator(".transport")).to_be_hidden()
        expect(shown.locator("svg.network")).to_be_visible()
        expect(shown.locator(".grid")).to_be_visible()


EVIL = """
from collectives.algorithms.language import algorithm, copy


@algorithm("scan", name="<img src=x onerror=alert(1)>", power_of_two=True)
def évil_环(rank, p, sendbuf, recvbuf):
    '''</script><script>document.title = "run"</script><img src=x onerror="document.title='run'">

    </pre><b id=here>bold</b> {{application}} {{constructor}} $& \\\\1

    Restrictions: power of two <script>document.title = "run"</script>
    '''
    # </script><script>document.title = "run"</script>
    yield copy(sendbuf, recvbuf)
"""

STUCK = """
from collectives.algorithms.language import algorithm, neighbours, recv, send


@algorithm("bcast")
def stuck(rank, p, buf, root):
    left, right = neighbours(rank, p)
    yield recv(buf, left)
    yield send(buf, right)
"""


@pytest.fixture
def users(registry, tmp_path):
    """`users(text, primitive, p)`: where the page of the algorithm in this text is."""

    def write(text, primitive, p):
        before = set(registry[primitive])
        (tmp_path / "évil.py").write_text(text, encoding="utf-8")
        load(tmp_path / "évil.py")
        [name] = set(registry[primitive]) - before
        path = tmp_path / "évil.html"
        path.write_text(page(primitive, [name], p=p), encoding="utf-8")
        return path.as_uri()

    return write


def test_nothing_of_a_users_file_runs(browser, users):
    with opened(browser, users(EVIL, "scan", 4)) as shown:
        expect(shown.locator("h1")).to_contain_text("<img src=x onerror=alert(1)>")
        expect(shown.locator(".source")).to_contain_text("</script><script>document.title")
        expect(shown.locator(".source figcaption")).to_contain_text("évil.py")
        shown.locator(".about summary").click()
        expect(shown.locator(".about pre")).to_contain_text("</pre><b id=here>bold</b>")
        expect(shown.locator(".wrong")).to_contain_text("missing")
        assert shown.locator("#here, img").count() == 0 and shown.title() != "run"
        shown.goto(shown.url.partition("#")[0] + "#p=6")
        shown.reload()
        expect(shown.locator(".wrong")).to_contain_text("cannot do 6 ranks")


def test_what_short_messages_hide_is_said(browser, users):
    text = (ROOT / "examples" / "deadlock.py").read_text(encoding="utf-8")
    with opened(browser, users(text, "allgather", 5) + "#p=5&round=2") as shown:
        expect(shown.locator(".wrong")).to_contain_text("Messages leave at once here.")
        expect(shown.locator(".sentence")).to_contain_text("5 messages are on the way: every rank")
        shown.keyboard.press("End")
        expect(shown.locator(".sentence")).to_contain_text("All ranks are done.")


def test_a_deadlock_is_shown(browser, users):
    with opened(browser, users(STUCK, "bcast", 4) + "#p=4&round=1") as shown:
        expect(shown.locator(".wrong")).to_contain_text("deadlock")
        expect(shown.locator(".sentence")).to_contain_text("4 ranks wait: 0 ← 3; 1 ← 0; 2 ← 1")
        expect(shown.locator(".rank.waits")).to_have_count(4)
        expect(shown.locator(".waits path")).to_have_count(4)
