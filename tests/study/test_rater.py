"""Raters in a real browser: each answer is stored once, whatever they and the line do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.study.browsing import SCALES, Visitor, chromium, stored
from tests.study.conftest import Host
from tests.study.studies import make_study


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_rater_finishes_a_study(browser: Any, host: Host, study_file: Path, scripts: bool) -> None:
    store = make_study(study_file, rows=2, mode="both", gold=1, attention=3, tasks=6)
    rater = Visitor(browser, store, host(store), java_script_enabled=scripts)
    rater.begin()
    # The link is a secret: neither the address nor a step back shows it.
    assert rater.token not in rater.page.url
    for number in range(1, 10):
        assert rater.page.get_by_text(f"{number} of 9", exact=True).is_visible()
        rater.fill(number)
        rater.button().click()
        rater.page.get_by_text(f"{number + 1} of 9" if number < 9 else "Thank you!", exact=True).wait_for()
    assert stored(store) == 9 and rater.said == []
    rater.page.goto(f"{rater.address}/rate")
    assert rater.page.get_by_role("heading", name="Thank you!").is_visible()


def test_the_keyboard_is_enough(browser: Any, host: Host, study_file: Path) -> None:
    store = make_study(study_file, tasks=2)
    rater = Visitor(browser, store, host(store))
    rater.begin()
    keys = rater.page.keyboard
    rater.page.locator("input[name=reasonability]").first.focus()
    for key in ("8", "0"):
        keys.press(key)
    keys.press("ArrowRight")  # chooses, as in any group of radio buttons
    keys.press("ArrowRight")
    keys.press("Tab")
    keys.press("Tab")
    keys.press("Enter")
    rater.page.get_by_text("2 of 2", exact=True).wait_for()
    with store.database.reading() as db:
        (scores,) = db.exec_driver_sql("SELECT reasonability, attractiveness, redundancy FROM rating").all()
    assert tuple(scores) == (8, 10, 3)


def test_what_assistive_technology_is_told(browser: Any, host: Host, study_file: Path) -> None:
    store = make_study(study_file)
    rater = Visitor(browser, store, host(store))
    rater.begin()
    for scale in SCALES:
        group = rater.page.get_by_role("group", name=re.compile(scale.capitalize()))
        assert [one.get_attribute("value") for one in group.get_by_role("radio").all()] == [
            str(n) for n in range(1, 11)
        ]
        assert group.get_by_role("radio", name="10", exact=True).count() == 1
    assert rater.page.get_by_role("progressbar", name="1 of 8").count() == 1
    assert rater.page.locator("html").get_attribute("lang") == "en"
    assert rater.page.get_by_role("heading", level=1).count() == rater.page.get_by_role("main").count() == 1


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_double_click_stores_once(browser: Any, host: Host, study_file: Path, scripts: bool) -> None:
    store = make_study(study_file)
    rater = Visitor(browser, store, host(store), java_script_enabled=scripts)
    rater.begin()
    rater.fill()
    rater.button().dblclick(no_wait_after=True)
    rater.page.get_by_text("2 of 8", exact=True).wait_for()
    rater.page.reload()
    assert rater.page.get_by_text("2 of 8", exact=True).is_visible() and stored(store) == 1


def test_the_back_button_shows_what_is_stored(browser: Any, host: Host, study_file: Path) -> None:
    store = make_study(study_file)
    rater = Visitor(browser, store, host(store))
    rater.begin()
    rater.fill(4)
    rater.send()
    rater.page.go_back()
    rater.page.get_by_text("Your answer to this one is stored").wait_for()
    assert rater.page.get_by_role("definition").all_inner_texts() == ["4", "4", "4"]
    assert rater.button().count() == 0
    rater.page.get_by_role("link", name="Go on").click()
    rater.page.get_by_text("2 of 8", exact=True).wait_for()
    assert stored(store) == 1


def test_a_lost_connection_loses_nothing(browser: Any, host: Host, study_file: Path) -> None:
    store = make_study(study_file)
    rater = Visitor(browser, store, host(store))
    rater.begin()
    rater.fill(6)
    rater.context.set_offline(True)
    rater.button().click()
    rater.page.get_by_text("not stored yet").wait_for()
    assert rater.page.locator("input[name=redundancy][value='6']").is_checked() and stored(store) == 0
    rater.context.set_offline(False)
    rater.send()
    assert stored(store) == 1

    def lose_the_answer(route: Any) -> None:
        route.fetch(max_redirects=0)
        route.abort("connectionreset")

    rater.page.route("**/tasks/*", lose_the_answer)
    rater.fill(5)
    rater.button().click()
    rater.page.get_by_text("not stored yet").wait_for()
    assert stored(store) == 2  # the page cannot know
    rater.page.unroute("**/tasks/*")
    rater.send()
    assert rater.page.get_by_text("3 of 8", exact=True).is_visible() and stored(store) == 2


def test_two_tabs_store_each_answer_once(browser: Any, host: Host, study_file: Path) -> None:
    store = make_study(study_file)
    rater = Visitor(browser, store, host(store))
    rater.begin()
    other = rater.tab()
    other.goto(f"{rater.address}/rate")
    assert other.url == rater.page.url
    rater.fill(3)
    rater.send()
    rater.fill(9, other)
    rater.button(other).click()
    # The second says which of the two is stored.
    other.get_by_text("Your answer to this one is stored").wait_for()
    assert other.get_by_role("definition").all_inner_texts() == ["3", "3", "3"] and stored(store) == 1


def test_a_pause_and_another_device(browser: Any, host: Host, study_file: Path) -> None:
    store = make_study(study_file)
    rater = Visitor(browser, store, host(store))
    rater.begin()
    rater.fill()
    rater.send()
    rater.page.get_by_role("link", name="Pause").click()
    rater.page.get_by_role("button", name="Sign out").click()
    rater.page.get_by_role("heading", name="You are signed out").wait_for()
    rater.page.goto(f"{rater.address}/rate")
    assert rater.page.get_by_role("heading", name="Please sign in").is_visible()
    rater.sign_in()
    rater.page.get_by_role("link", name="Go on").click()
    assert rater.page.get_by_text("2 of 8", exact=True).is_visible()


def test_what_is_missing_is_said(browser: Any, host: Host, study_file: Path) -> None:
    store = make_study(study_file)
    rater = Visitor(browser, store, host(store))
    rater.begin()
    rater.page.locator("input[name=attractiveness][value='2']").check()
    rater.page.evaluate("document.querySelector('form').noValidate = true")
    rater.button().click()
    rater.page.get_by_text("Please choose a number").first.wait_for()
    assert rater.page.get_by_text("Please choose a number").count() == 2
    assert rater.page.locator("input[name=attractiveness][value='2']").is_checked() and stored(store) == 0


@pytest.mark.parametrize("mode", ["rate", "compare"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "light"), (360, "dark")])
def test_pages_fit_their_window(
    browser: Any, host: Host, study_file: Path, tmp_path: Path, mode: Any, width: int, scheme: str
) -> None:
    store = make_study(study_file, mode=mode)
    rater = Visitor(browser, store, host(store), viewport={"width": width, "height": 740}, color_scheme=scheme)
    rater.begin()
    rater.fill()
    for name, page in (("task", ""), ("pause", "/pause"), ("welcome", "/")):
        if page:
            rater.page.goto(rater.address + page)
        rater.page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        assert rater.page.evaluate("document.documentElement.scrollWidth") == width
    rater.page.goto(f"{rater.address}/rate")
    for one in rater.page.locator("label:has(input[type=radio])").all():
        box = one.bounding_box()
        assert box["width"] >= 24 and box["height"] >= 44  # a finger finds it
