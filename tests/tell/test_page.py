"""The page in a real browser: quiet, without barriers, inert against what others wrote, and sortable."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from renewer.cli import overview
from renewer.model.status import Status
from tests.builders import HOUR, MINUTE, NOW
from tests.documents import with_first
from tests.tell import fleet

AXE = Path(__file__).parents[2] / ".venv" / "axe-core" / "axe.min.js"
WIDE, PHONE = (1400, 900), (390, 844)
_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(_ARGUMENTS))
        yield chromium
        chromium.close()


class Tab:
    """One page in a browser of its own, with all that it says and asks for."""

    def __init__(self, browser: Browser, file: Path, **options: Any) -> None:
        width, height = options.pop("size", WIDE)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": height}, **options
        )
        self.page: Page = self.context.new_page()
        self.page.on("console", self._say)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", self._ask)
        self.page.clock.install(time=NOW - MINUTE)
        self.page.clock.pause_at(NOW)
        self.page.goto(f"file://{file}")

    def _say(self, message: ConsoleMessage) -> None:
        self.said.append(message.text)

    def _ask(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.asked.append(request.url)

    def do(self, script: str) -> Any:
        """Run a script as the browser's tools do: the page's policy does not count."""
        return self.page.evaluate(script)

    def column(self, number: int, table: str = ".certificates") -> list[str]:
        """What the rows that are shown sort by in a column."""
        found: list[str] = self.do(
            f"[...document.querySelectorAll('{table} tbody tr:not([hidden])')]"
            f".map(row => row.cells[{number}].dataset.sort)"
        )
        return found

    def close(self) -> None:
        """Forget it."""
        self.context.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    """Opens pages, and closes them at the end."""
    tabs: list[Tab] = []

    def open_it(text: str, **options: Any) -> Tab:
        file = tmp_path / "index.html"
        file.write_text(text, "utf-8")
        tabs.append(Tab(browser, file, **options))
        return tabs[-1]

    yield open_it
    for tab in tabs:
        tab.close()


def _only_itself(tab: Tab) -> bool:
    return len(tab.asked) == 1 and tab.asked[0].startswith("file://")


@pytest.mark.parametrize("number", [1, 100, 2000])
def test_it_asks_nobody_and_complains_of_nothing(opened: Any, number: int) -> None:
    """No request but for itself, no word on the console, every certificate in it."""
    tab = opened(fleet.page_of(number, NOW))
    tab.page.clock.run_for(61_000)

    assert (tab.said, _only_itself(tab)) == ([], True)
    assert len(tab.column(0)) == number


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("number", [1, 14])
def test_no_barriers(opened: Any, number: int, scheme: str, size: tuple[int, int]) -> None:
    """Axe finds nothing: contrast, names, landmarks, headers; in light and dark, wide and narrow."""
    tab = opened(fleet.page_of(number, NOW, ran=NOW - 5 * HOUR), color_scheme=scheme, size=size)
    tab.do("document.querySelectorAll('details').forEach(one => one.open = true)")
    tab.page.clock.resume()  # axe waits by the page's clock
    tab.do(AXE.read_text("utf-8"))
    limit = "new Promise((_, refuse) => setTimeout(() => refuse('axe takes too long'), 60000))"
    result = tab.do(f"Promise.race([axe.run(document, {{resultTypes: ['violations']}}), {limit}])")

    assert [(found["id"], found["nodes"][0]["html"]) for found in result["violations"]] == []
    assert len(result["passes"]) > 20


@pytest.mark.parametrize("size", [WIDE, PHONE, (320, 600)], ids=["wide", "phone", "the narrowest"])
def test_nothing_sticks_out(opened: Any, size: tuple[int, int]) -> None:
    """The page is as wide as its window: nobody has to push it from side to side."""
    tab = opened(fleet.page_of(23, NOW), size=size)

    assert tab.do("document.scrollingElement.scrollWidth") <= size[0]


def test_it_follows_the_scheme_of_the_reader(opened: Any) -> None:
    """Light for one, dark for the other, from one file."""
    text = fleet.page_of(1, NOW)
    colour = "getComputedStyle(document.body).backgroundColor"

    assert opened(text, color_scheme="light").do(colour) == "rgb(245, 246, 248)"
    assert opened(text, color_scheme="dark").do(colour) == "rgb(16, 20, 27)"


def test_a_click_on_a_header_sorts(opened: Any) -> None:
    """By what the column means, not by its letters; a second click turns it round; the state is told."""
    tab = opened(fleet.page_of(100, NOW))
    tab.page.get_by_role("button", name="Expires").first.click()
    rising = [int(key) for key in tab.column(3)]
    told = tab.do("document.querySelector('#said').textContent")
    tab.page.get_by_role("button", name="Expires").first.click()
    falling = [int(key) for key in tab.column(3)]

    assert (rising, falling) == (sorted(rising), sorted(rising, reverse=True))
    assert len(set(rising)) > 50
    assert told == "sorted by Expires, ascending"
    headers = "[...document.querySelectorAll('.certificates [aria-sort]')]"
    assert tab.do(f"{headers}.map(one => [one.innerText.trim(), one.ariaSort])") == [
        ["Expires", "descending"]
    ]


def test_sorting_works_by_keyboard_and_by_name(opened: Any) -> None:
    """Tab and Enter do what the mouse does; names with numbers sort as people count."""
    tab = opened(fleet.page_of(100, NOW))
    tab.page.get_by_role("button", name="Certificate").first.focus()
    tab.page.keyboard.press("Enter")
    names = tab.column(0)

    assert names == sorted(names)
    assert names[0] == "api"


def test_the_most_urgent_comes_first(opened: Any) -> None:
    """As it is written, and after sorting by another column and back."""
    tab = opened(fleet.page_of(100, NOW))
    before = tab.column(1)
    tab.page.get_by_role("button", name="Certificate").first.click()
    shuffled = tab.column(1)
    tab.page.get_by_role("button", name="State").first.click()

    assert before == sorted(before)
    assert shuffled != before
    assert tab.column(1) == before


def test_sorting_two_thousand_is_quick(opened: Any) -> None:
    """What is out of sight is not laid out: a fifth of a second on a quiet machine, not minutes."""
    tab = opened(fleet.page_of(2000, NOW))
    begun = time.monotonic()
    tab.do("document.querySelectorAll('.certificates thead button')[2].click(), document.body.offsetHeight")
    took = time.monotonic() - begun

    assert tab.column(3) == sorted(tab.column(3), key=int)
    assert took < 30


def test_finding(opened: Any) -> None:
    """What is typed narrows the rows to those that have it; what is well can be left out."""
    tab = opened(fleet.page_of(100, NOW))
    tab.page.get_by_label("Find").fill("MAIL")
    found = tab.column(0)
    tab.page.get_by_label("Find").fill("")
    tab.page.get_by_label("only what is not well").check()

    assert found == sorted(found, key=found.index)
    assert len(found) == 10
    assert all("mail" in name for name in found)
    assert set(tab.column(1)) == {"0", "1"}
    assert tab.do("document.querySelector('#shown').textContent") == f"{len(tab.column(1))} shown"


def test_the_page_says_when_runs_have_stopped(opened: Any) -> None:
    """By the reader's clock, also while it stays open: a page that nobody writes must not say all is well."""
    tab = opened(fleet.page_of(1, NOW, ran=NOW - 10 * MINUTE))
    alarm = tab.page.get_by_role("alert")
    assert not alarm.is_visible()
    assert tab.page.title() == "All is well · renewer on web-1"
    tab.page.clock.run_for("02:49:00")
    assert not alarm.is_visible()
    tab.page.clock.run_for("00:02:00")

    assert alarm.is_visible()
    assert tab.page.title() == "No runs! You must act: the runs have stopped · renewer on web-1"
    assert tab.page.get_by_role("heading", level=1).inner_text() == "You must act: the runs have stopped"
    assert "All is well" not in tab.page.inner_text("body")
    assert tab.do(GREEN) == 0
    assert tab.do("document.querySelector('#ago').textContent") == "3 hours ago"


GREEN = (
    "document.querySelectorAll('header.ok, h1.ok, .certificates tbody tr.ok, "
    ".counts li:not([hidden]) .ok, .certificates .badge.ok:not(details *)').length"
)
"""What looks well: headline, rows and badges, but for hooks that were called and lines of history."""


def test_the_page_turns_with_the_readers_clock(opened: Any) -> None:
    """A hundred days later its certificate has expired: headline, bar, badges and ports say so."""
    tab = opened(fleet.html(fleet.document([fleet.one(0, NOW, well=True)], NOW), [], NOW))
    assert tab.do(GREEN) > 0
    tab.page.clock.fast_forward(100 * 24 * 3600 * 1000)
    tab.page.clock.run_for(31_000)

    heading = tab.page.get_by_role("heading", level=1)
    assert heading.inner_text() == "You must act: 1 of 1 certificate has expired"
    assert tab.page.get_by_text("expired", exact=True).is_visible()
    assert tab.page.title().startswith("No runs! You must act: 1 of 1 certificate has expired")
    assert tab.do(GREEN) == 0
    assert tab.do("document.querySelectorAll('header.bad, h1.bad, .life.over, .counts .bad').length") == 4
    assert tab.do("[...document.querySelectorAll('.counts li:not([hidden])')].map(one => one.innerText)") == [
        "1 need a person"
    ]
    assert tab.do("document.querySelector('link[rel=icon]').href").count("%23c4271b") == 1
    assert (tab.said, _only_itself(tab)) == ([], True)


def test_the_page_turns_before_the_end_too(opened: Any) -> None:
    """While runs are still told to come: a page that was kept open, or is served by a proxy's cache."""
    found = fleet.document([fleet.one(0, NOW, well=True), fleet.one(1, NOW, well=True)], NOW)
    found = with_first(found, renew_at=NOW - 20 * MINUTE, not_after=NOW + HOUR)
    tab = opened(fleet.html(found, [], NOW))
    assert tab.page.get_by_role("heading", level=1).inner_text() == "All is well"
    tab.page.clock.run_for("00:21:00")

    heading = tab.page.get_by_role("heading", level=1)
    assert heading.inner_text() == "You must act: 1 of 2 certificates will not mend itself"
    assert tab.page.get_by_text("expiring", exact=True).is_visible()
    assert not tab.page.get_by_role("alert").is_visible()
    tab.page.clock.run_for("00:40:00")
    assert heading.inner_text() == "You must act: 1 of 2 certificates has expired"


def test_the_browser_tells_times_as_the_page_was_written(opened: Any) -> None:
    """The script's words for lengths of time are those of the page: nothing jumps when it begins."""
    text = fleet.page_of(23, NOW)
    places = "[...document.querySelectorAll('[data-at]')].map(one => one.textContent)"
    with_script = opened(text).do(places)
    without = opened(text, java_script_enabled=False).do(places)

    assert with_script == without
    assert len(set(without)) > 20


def test_bars_move_on(opened: Any) -> None:
    """The mark of the present stands where the reader's clock says."""
    tab = opened(fleet.page_of(1, NOW))
    share = "parseFloat(document.querySelector('.life .now').getAttribute('x'))"
    before = tab.do(share)
    tab.page.clock.fast_forward(9 * 24 * 3600 * 1000)
    tab.page.clock.run_for(31_000)

    assert before == pytest.approx(0, abs=0.1)
    assert tab.do(share) == pytest.approx(10, abs=0.1)


def test_it_can_be_read_without_scripts(opened: Any) -> None:
    """All facts are there; what needs a script is not shown; lengths of time say as of when."""
    tab = opened(fleet.page_of(23, NOW), java_script_enabled=False)

    assert tab.page.get_by_role("heading", level=1).inner_text().startswith("You must act")
    assert not tab.page.get_by_label("Find").is_visible()
    assert "Lengths of time are told as of 22 Nov 2026, 12:00 UTC." in tab.page.inner_text("footer")
    assert "So it stood at the last run" in tab.page.inner_text("header")


# --- rows, groups, causes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "most"), [(WIDE, 48), (PHONE, 60)], ids=["wide", "phone"])
def test_a_healthy_row_is_one_line_and_its_details_span_it(
    opened: Any, size: tuple[int, int], most: int
) -> None:
    """Whatever its names and ports; what is in the details is as wide as the row, and comes with a click."""
    tab = opened(fleet.page_of(23, NOW), size=size)
    well = "[...document.querySelectorAll('.certificates tbody tr.ok')]"
    heights = tab.do(f"{well}.map(row => row.getBoundingClientRect().height)")
    assert len(heights) > 10
    assert max(heights) <= most, heights
    assert tab.do(f"{well}[0].querySelector('.more').offsetHeight") == 0

    tab.page.locator(".certificates tr.ok summary").first.click()

    more, row = (
        f"{well}[0].querySelector('.more').getBoundingClientRect().width",
        f"{well}[0].clientWidth",
    )
    assert tab.do(more) >= 0.9 * tab.do(row)
    assert "serial" in tab.page.locator(".certificates tr.ok .more").first.inner_text()


def test_groups_causes_and_what_to_type(opened: Any) -> None:
    """Needs you, tried again, well: each cause once with a command; the numbers are those of `status`."""
    situations = [fleet.one(number, NOW, well=False) for number in range(100)]
    found = msgspec.structs.replace(fleet.document(situations, NOW), watches=fleet.watches(NOW))
    tab = opened(fleet.html(found, [], NOW))

    titles = tab.do("[...document.querySelectorAll('.group:not([hidden]) h3')].map(one => one.innerText)")
    assert [title.split()[0] for title in titles] == ["Needs", "Tried", "Well"]
    ill = [one for one in found.rows if not one.healthy]
    badges = tab.do("[...document.querySelectorAll('.counts [data-kind]')].map(one => one.innerText)")
    bad, warn, ok = (int(text.split()[0]) for text in badges)
    assert (bad + warn, ok) == (len(ill), len(found.rows) - len(ill))
    assert overview.verdict(found).startswith(f"YOU MUST ACT: {bad + warn} of {bad + warn + ok} certificates")

    causes = tab.do("[...document.querySelectorAll('.causes .error')].map(one => one.innerText)")
    assert len(causes) == len({text.partition(":")[2] for text in causes})
    assert any(re.match(r"\d+ certificates, e\.g\. \S+: ", text) for text in causes)
    commands = tab.do(
        "[...document.querySelectorAll('.causes li')].map(one => one.querySelectorAll('code').length)"
    )
    assert min(commands) >= 1
    typed = tab.do("[...document.querySelectorAll('.causes code')].map(one => one.textContent)")
    assert all(text.startswith("renewer ") for text in typed)
    assert any(text.startswith("renewer run ") for text in typed)


def test_groups_turn_with_the_readers_clock(opened: Any) -> None:
    """What has expired meanwhile stands where a person is asked for; sorting by state brings groups back."""
    found = fleet.document([fleet.one(0, NOW, well=True), fleet.one(1, NOW, well=True)], NOW)
    found = with_first(found, renew_at=NOW - 20 * MINUTE, not_after=NOW + HOUR)
    tab = opened(fleet.html(found, [], NOW))
    groups = "[...document.querySelectorAll('.group:not([hidden])')]"
    rows = f"{groups}.map(one => [one.dataset.kind, one.querySelectorAll('tbody tr').length])"
    assert tab.do(rows) == [["ok", 2]]
    tab.page.clock.run_for("01:01:00")

    assert tab.do(rows) == [["bad", 1], ["ok", 1]]
    assert tab.do("document.querySelector('.group.bad .number').textContent") == "1"
    tab.page.get_by_role("button", name="Expires").first.click()
    assert [number for _, number in tab.do(rows)] == [2]
    tab.page.get_by_role("button", name="State").first.click()
    assert tab.do(rows) == [["bad", 1], ["ok", 1]]
    assert (tab.said, _only_itself(tab)) == ([], True)


# --- what others wrote --------------------------------------------------------------------------------------

ATTACKS = (
    "<script>window.harmed = 1</script>",
    "\"><img src=x onerror='window.harmed = 2'>",
    "'><svg onload=window.harmed=3>",
    "</style><style>body{display:none}</style>",
    "</script><script>window.harmed = 4</script>",
    "</title></textarea><iframe src='http://127.0.0.1:9/'></iframe>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'><base href='http://127.0.0.1:9/'>",
    "{{ 7 * 7 }}{% raw %}${7*7}<a href='javascript:window.harmed=5'>x</a>",
    "&lt;script&gt;&#60;b&#62;\x00\x1b[31m\u202egnp.exe\udcff",
)


_FIXED = ("state", "step", "reason", "renew_reason", "key")  # words of ours, from a list
_TEXTS = ("profile", "authority", "serial", "last_error", "renew_explanation", "error", "issuer")


class Poison:
    """Puts every attack in the place of every text, and counts them."""

    def __init__(self) -> None:
        self.given = 0

    def text(self) -> str:
        """Another one, told apart by its number."""
        self.given += 1
        return f"#{self.given} " + " ".join(ATTACKS)

    def into(self, value: Any, key: str = "") -> Any:
        """A document with every text in it replaced; moments, numbers and our own words stay."""
        if isinstance(value, dict):
            return {name: self.into(each, name) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.into(each) for each in value]
        if key in _FIXED or not (isinstance(value, str) or (value is None and key in _TEXTS)):
            return value
        return self.text()


def _poisoned(found: Status, poison: Poison) -> Status:
    """Every value of it with every text replaced."""

    def into(value: Any, key: str = "") -> Any:
        if isinstance(value, msgspec.Struct):
            changed = {name: into(getattr(value, name), name) for name in value.__struct_fields__}
            return msgspec.structs.replace(value, **changed)
        if isinstance(value, tuple):
            return tuple(into(each) for each in value)
        return poison.into(value, key)

    poisoned: Status = into(found)
    return poisoned


def _hostile_page() -> tuple[str, int]:
    poison = Poison()
    found = fleet.document(
        [fleet.one(number, NOW, well=False) for number in range(23)],
        NOW,
        watches=fleet.watches(NOW),
        orphans=("one",),
        findings=("one", "another"),
    )
    events = ("renewed", "failed", "recovered", "rolled-back", poison.text())
    lines = [
        msgspec.structs.replace(
            one,
            certificate=poison.text(),
            event=event,
            details=poison.into({"error": "", "from": "", "to": "", "took": "", "margin": ""}),
        )
        for one, event in zip(fleet.history(NOW, 5), events, strict=True)
    ]
    return fleet.html(_poisoned(found, poison), lines, NOW), poison.given


def test_what_others_wrote_is_text(opened: Any) -> None:
    """Names, issuers, hook output, errors, URLs, versions: whatever they hold is shown and does nothing."""
    text, poisoned = _hostile_page()
    tab = opened(text)
    tab.do("document.querySelectorAll('details').forEach(one => one.open = true)")
    tab.page.clock.run_for(61_000)

    assert poisoned > 300
    assert tab.do("window.harmed") is None
    assert (tab.said, _only_itself(tab)) == ([], True)
    assert tab.do("document.querySelectorAll('script, style').length") == 2
    forbidden = (
        "img, iframe, base, object, embed, form, textarea, [onload], [onerror], [href^=javascript], [style]"
    )
    assert tab.do(f"document.querySelectorAll('{forbidden}').length") == 0
    shown = tab.page.inner_text("body")
    for attack in ATTACKS[:-1]:
        assert attack in shown
    assert "49" not in re.findall(r"(?<!\d)49(?!\d)", shown)
    assert "&lt;script&gt;&#60;b&#62;��[31m�gnp.exe?" in shown


def test_the_policy_alone_stops_a_script_that_got_in(opened: Any) -> None:
    """Were there ever a hole in the escaping, the browser still runs nothing but our own script."""
    text = fleet.page_of(1, NOW).replace(
        "</main>", "<script>window.harmed=1</script><img src='http://127.0.0.1:9/'></main>"
    )
    tab = opened(text)

    assert tab.do("window.harmed") is None
    assert len(tab.said) == 2
    assert all("Content Security Policy" in said for said in tab.said)


@pytest.mark.parametrize(
    ("url", "links"),
    [
        pytest.param("https://letsencrypt.org/docs/ari", 1, id="https"),
        pytest.param("http://letsencrypt.org/", 0, id="not over TLS"),
        pytest.param("javascript:alert(1)", 0, id="a script"),
        pytest.param('https://a/" onclick="x', 0, id="quotes"),
    ],
)
def test_only_a_plain_https_address_becomes_a_link(opened: Any, url: str, links: int) -> None:
    """What an authority says explains its window is linked with care."""
    found = fleet.document([fleet.one(0, NOW, well=True)], NOW)
    tab = opened(fleet.html(with_first(found, renew_explanation=url), [], NOW))

    assert tab.do("document.querySelectorAll('a').length") == links


def test_an_empty_fleet_has_a_page(opened: Any) -> None:
    """Nothing configured, nothing run: it says so."""
    tab = opened(fleet.html(fleet.document([], NOW), [], None))

    assert tab.page.get_by_role("heading", level=1).inner_text() == "There is no certificate to look after"
    assert "No run has come to its end yet." in tab.page.inner_text("header")
    assert tab.said == []
