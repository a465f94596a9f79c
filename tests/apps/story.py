"""The story of a rollout in a browser: what begins on version 1 is finished there, whatever the operator does. Then
what may happen on the way, and every page under axe-core.

`.ci/apps` runs this in the folder of the repository, with the packages of requirements.txt. Usage:
story.py STICKSHIFT AXE [PICTURES]

AXE is axe-core's axe.min.js. PICTURES is a folder: a picture of every page is written into it, and a short film of the
story beside it.
"""

import contextlib
import datetime
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from support import (STICKSHIFT, Up, Viewer, Wire, check_accessibility, chromium, clock_variables, free_port, is_gone,
                     start, write_picture)

AXE = Path(sys.argv[2]).read_text()
PICTURES = Path(sys.argv[3]) if len(sys.argv) > 3 else None
DAY = datetime.date.today() + datetime.timedelta(days=30)
ADA = {"date": DAY.strftime("%m%d%Y"), "seats": "3", "name": "Ada Lovelace", "email": "ada@lovelace.example"}
GRACE = {"date": DAY.strftime("%m%d%Y"), "seats": "2", "name": "Grace Hopper", "email": "grace@hopper.example",
         "wishes": "Somewhere dry"}
# What nobody but its viewer may see, as it is typed and as a log could have it.
PERSONAL = ("Lovelace", "lovelace.example", "Hopper", "hopper.example", "Somewhere", "Ada%20", "Ada+")


def main():
    checks = (story, abort_by_draining, abort_by_evicting, endings, outages, restarts, tabs, keyboard_and_phone,
              without_javascript, languages, pages)
    for check in checks:
        with contextlib.ExitStack() as running:
            folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
            print(f"{check.__name__}: {check(running, folder)}", flush=True)


def story(running, folder):
    clock, film = Clock(folder), Film()
    up = logged_up(running, folder, weight=0, **clock.variables)
    ada, grace = window(running, folder / "ada"), window(running, folder / "grace")
    grace.driver.get("about:blank")
    ada.open(up.url, "This is application Version 1.0")
    film.shoot("Version 1 serves everybody. Ada comes.", ada, grace)
    ada.follow("Book a boat trip", "When do you want to go?")
    ada.type(ADA)
    film.shoot("She begins to book.", ada, grace)
    ada.submit("Who is going?")
    up.rollout("set-weight", "2=100", "--reason", "version 2 for everybody new")
    wait_for_version(up, "2")
    ada.type(ADA)
    film.shoot("$ stickshift rollout set-weight 2=100", ada, grace)
    ada.submit("Check your booking")
    grace.open(up.url, "This is application Version 2.0")
    film.shoot("Ada goes on where she is. Grace, who is new, gets version 2.", ada, grace)
    ada.submit("Your trip is booked")
    assert "Version 1.0" in ada.text(), ada.text()
    grace.follow("Book a boat trip", "Your trip")
    grace.type(GRACE)
    film.shoot("Ada has finished on version 1. Version 2 asks in another way.", ada, grace)
    grace.submit("Check your booking")
    grace.submit("Your trip is booked")
    assert "Version 2.0" in grace.text() and "Somewhere dry" in grace.text(), grace.text()
    film.shoot("Nobody has noticed the rollout.", ada, grace)
    film.write()
    counts = finished(up, {"1": 1, "2": 1})
    up.rollout("promote", "2", "--reason", "it is good")
    up.rollout("drain", "1", "--reason", "nobody new")
    command = [STICKSHIFT, "rollout", "--data-dir", up.data, "drain", "1", "--wait", "--timeout", "10m"]
    waiting = subprocess.Popen(command, env=os.environ | clock.variables, stdout=subprocess.PIPE, text=True)
    running.callback(waiting.kill)
    time.sleep(5)
    assert waiting.poll() is None, "Ada's session still goes on"
    clock.forward(minutes=14)
    said = waiting.communicate(timeout=120)[0]
    assert waiting.returncode == 0 and "version 1 is drained" in said, said
    nothing_leaked(folder, up)
    return f"what began on version 1 was finished there; finished by version: {counts}; version 1 is drained"


def abort_by_draining(running, folder):
    up = logged_up(running, folder, weight=100)
    grace = window(running, folder / "grace")
    grace.open(f"{up.url}/booking", "Your trip")
    grace.type(GRACE)
    grace.submit("Check your booking")
    up.rollout("abort", "2", "--reason", "too slow")
    wait_for_version(up, "1")
    grace.submit("Your trip is booked")
    assert "Version 2.0" in grace.text(), grace.text()
    return "who had begun on version 2 has finished there, and who is new gets version 1"


def abort_by_evicting(running, folder):
    up = logged_up(running, folder, weight=100)
    grace = window(running, folder / "grace")
    grace.open(f"{up.url}/booking", "Your trip")
    grace.type(GRACE)
    grace.submit("Check your booking")
    other = window(running, folder / "other")
    other.open(f"{up.url}/booking", "Your trip")
    other.type(GRACE)
    up.rollout("abort", "2", "--evict", "--reason", "it loses bookings")
    wait_for_version(up, "1")
    # One reloads the page. The other sends a form that its new version does not have.
    grace.open(f"{up.url}/booking", "Check your booking")
    other.submit("Check your booking")
    for viewer in (grace, other):
        assert "You are on another version of this site now, Version 1.0" in viewer.text(), viewer.text()
        assert "Grace Hopper" in viewer.text() and "grace@hopper.example" in viewer.text(), viewer.text()
        viewer.submit("Your trip is booked")
        assert "Version 1.0" in viewer.text(), viewer.text()
    nothing_leaked(folder, up)
    return "who had begun on version 2 was told once, and has finished on version 1 with the same answers"


def endings(running, folder):
    clock = Clock(folder)
    up = logged_up(running, folder, weight=0, **clock.variables)
    ada = window(running, folder / "ada")
    ada.open(f"{up.url}/booking", "When do you want to go?")
    ada.type(ADA)
    ada.submit("Who is going?")
    ada.type(ADA)
    clock.forward(minutes=14)
    ada.submit("Who is going?")
    for _ in range(2):
        assert "Your session had ended before this form arrived" in ada.text(), ada.text()
        assert (ada.value("name"), ada.value("email")) == (ADA["name"], ADA["email"])
        ada.driver.refresh()
    ada.submit("Check your booking")
    # The cookies are gone as well.
    ada.driver.delete_all_cookies()
    ada.submit("Check your booking")
    assert "Your session had ended" in ada.text() and "Ada Lovelace" in ada.text(), ada.text()
    ada.submit("Your trip is booked")
    # The booking ends with the session.
    clock.forward(minutes=14)
    ada.open(f"{up.url}/booking", "When do you want to go?")
    assert ada.value("date") == "" and "Lovelace" not in ada.driver.page_source
    nothing_leaked(folder, up)
    return "after fourteen minutes, and without cookies, the form came back with what was typed"


def outages(running, folder):
    site = Site(running, folder, weight=0)
    for version, form, answers in (("1", "When do you want to go?", ADA), ("2", "Your trip", GRACE)):
        if version == "2":
            site.rollout("set-weight", "2=100")
            site.wait_for_version("2")
        viewer = window(running, folder / version)
        viewer.open(f"{site.url}/booking", form)
        steps = [form, *(["Who is going?"] if version == "1" else []), "Check your booking"]
        for step, following in zip(steps, [*steps[1:], "Your trip is booked"]):
            viewer.type(answers)
            typed = viewer.values()
            site.wire.cut()
            viewer.submit(step)
            assert "could not be saved just now" in viewer.text(), viewer.text()
            assert viewer.values() == typed, "what was typed is kept"
            if step == steps[-1]:
                viewer.open(f"{site.url}/booking", "Your booking cannot be read just now")
                site.wire.mend()
                viewer.open(f"{site.url}/booking", step)
            site.wire.mend()
            viewer.submit(following)
    nothing_leaked(folder, site)
    return "at every step of both versions the form said so, kept what was typed, and worked again afterwards"


def restarts(running, folder):
    site = Site(running, folder, weight=0)
    ada = window(running, folder / "ada")
    ada.open(f"{site.url}/booking", "When do you want to go?")
    ada.type(ADA)
    ada.submit("Who is going?")
    site.kill("1")
    ada.type(ADA)
    site.start_version("1")
    ada.submit("Check your booking")
    ada.driver.close()
    # The tab is closed. Another instance has all of it, for the same browser.
    site.kill("1")
    site.start_version("1")
    ada.reopen()
    ada.open(f"{site.url}/booking", "Check your booking")
    assert "Ada Lovelace" in ada.text()
    ada.submit("Your trip is booked")
    nothing_leaked(folder, site)
    return "after kill -9 between two steps, another instance goes on, also in a new tab"


def tabs(running, folder):
    up = logged_up(running, folder, weight=0)
    ada = window(running, folder / "ada")
    ada.open(f"{up.url}/booking", "When do you want to go?")
    first = ada.driver.current_window_handle
    ada.driver.switch_to.new_window("tab")
    ada.open(f"{up.url}/booking", "When do you want to go?")
    second = ada.driver.current_window_handle
    ada.type(ADA)
    ada.driver.switch_to.window(first)
    ada.type(ADA | {"seats": "7"})
    ada.submit("Who is going?")
    ada.driver.switch_to.window(second)
    ada.submit("When do you want to go?")
    assert "the booking has changed since the page was loaded" in ada.text() and "7" in ada.text(), ada.text()
    assert ada.value("seats") == "3", "what this tab typed"
    ada.submit("Who is going?")
    # Back and reload show what is saved, and send nothing again.
    ada.driver.back()
    ada.open(f"{up.url}/booking/trip", "When do you want to go?")
    assert ada.value("seats") == "3"
    ada.driver.switch_to.window(first)
    ada.type(ADA)
    ada.submit("Who is going?")
    assert "the booking has changed since the page was loaded" in ada.text() and ada.value("name") == "Ada Lovelace"
    ada.submit("Check your booking")
    ada.submit("Your trip is booked")
    ada.driver.refresh()
    assert ada.heading() == "Your trip is booked"
    ada.driver.back()
    ada.driver.refresh()
    assert ada.heading() == "Your trip is booked", "the way back leads to the booking"
    nothing_leaked(folder, up)
    return "the slower tab was told, kept what it had typed, and could go on; back and reload sent nothing again"


def keyboard_and_phone(running, folder):
    up = logged_up(running, folder, weight=0)
    ada = window(running, folder / "ada")
    # Chromium's own windows are not that narrow.
    ada.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                               {"width": 320, "height": 640, "deviceScaleFactor": 2, "mobile": True})
    ada.open(up.url, "This is application Version 1.0")

    def press(*keys):
        for key in keys:
            ada.driver.switch_to.active_element.send_keys(key)

    def reach(name):
        for _ in range(30):
            focused = ada.driver.switch_to.active_element
            if name in (focused.get_attribute("name"), focused.text):
                outline = focused.value_of_css_property("outline-style")
                assert outline != "none", f"nobody sees that {name} has the focus"
                return
            focused.send_keys(Keys.TAB)
        raise AssertionError(f"TAB does not reach {name}")

    def enter(heading):
        page = ada.driver.find_element(By.TAG_NAME, "html")
        press(Keys.ENTER)
        ada.arrive(page, heading)
        ada.is_narrow()

    reach("Book a boat trip")
    enter("When do you want to go?")
    reach("seats")
    press("many", Keys.ENTER)
    WebDriverWait(ada.driver, 20).until(lambda driver: driver.find_elements(By.ID, "problems"))
    assert ada.driver.switch_to.active_element.get_attribute("id") == "problems", "the errors have the focus"
    ada.is_narrow()
    reach("Choose a date.")
    press(Keys.ENTER)
    assert ada.driver.switch_to.active_element.get_attribute("name") == "date", "an error leads to its field"
    press(ADA["date"])
    reach("seats")
    press("3")
    enter("Who is going?")
    reach("name")
    press(ADA["name"], Keys.TAB)
    reach("email")
    press(ADA["email"])
    enter("Check your booking")
    reach("Book this trip")
    enter("Your trip is booked")
    reach("Forget me")
    enter("When do you want to go?")
    assert "What you had entered is deleted." in ada.text()
    return "all of it works with TAB and Enter, on 320 pixels"


def without_javascript(running, folder):
    up = logged_up(running, folder, weight=0)
    # 2 blocks all scripts.
    ada = window(running, folder / "ada", **{"profile.managed_default_content_settings.javascript": 2})
    ada.driver.get("data:text/html,<title>off</title><script>document.title='on'</script>")
    assert ada.driver.title == "off", "there are no scripts"
    ada.open(up.url, "This is application Version 1.0")
    ada.follow("Book a boat trip", "When do you want to go?")
    ada.submit("When do you want to go?")
    assert "Choose a date." in ada.text()
    ada.type(ADA)
    ada.submit("Who is going?")
    ada.type(ADA)
    ada.submit("Check your booking")
    ada.follow("Back", "Who is going?")
    assert ada.value("email") == ADA["email"]
    ada.submit("Check your booking")
    ada.submit("Your trip is booked")
    return "all of it works without scripts"


def languages(running, folder):
    up = logged_up(running, folder, weight=0)
    weekday = lambda names: names[DAY.weekday()]
    days = ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"]
    german = f"{weekday(days)}, {DAY.day}. "
    japanese = f"{DAY.year}年{DAY.month}月{DAY.day}日{weekday('月火水木金土日')}曜日"
    for tag, date, price in (("en-GB", DAY.strftime("%A, %B ") + f"{DAY.day}, {DAY.year}", "€1,247.50"),
                             ("de-AT,en", german, "1.247,50 €"), ("ja", japanese, "€1,247.50")):
        viewer = window(running, folder / tag, **{"intl.accept_languages": tag})
        viewer.open(f"{up.url}/booking", "When do you want to go?")
        viewer.type(ADA | {"seats": "5"})
        viewer.submit("Who is going?")
        viewer.type(ADA)
        viewer.submit("Check your booking")
        text = viewer.text().replace("\u00a0", " ")
        assert date in text and price in text, text
    return "dates and amounts are English, German and Japanese"


def pages(running, folder):
    """Every page, in both themes."""
    for version, other, form, answers in (("1", "2", "When do you want to go?", ADA), ("2", "1", "Your trip", GRACE)):
        home = folder / f"pages{version}"
        home.mkdir()
        site = Site(running, home, weight=100 if version == "2" else 0)
        viewer = window(running, home / "viewer")
        look = lambda name: viewer.look(f"version{version}-{name}")
        viewer.open(site.url, f"This is application Version {version}.0")
        look("home")
        viewer.follow("Book a boat trip", form)
        look("step1")
        viewer.submit(form)
        look("problems")
        viewer.type(answers)
        site.wire.cut()
        viewer.submit(form)
        look("unsaved")
        site.wire.mend()
        tab = viewer.driver.current_window_handle
        viewer.driver.switch_to.new_window("tab")
        viewer.open(f"{site.url}/booking", form)
        viewer.type(answers | {"seats": "1"})
        second = "Who is going?" if version == "1" else "Check your booking"
        viewer.submit(second)
        viewer.close_tab(tab)
        viewer.submit(form)
        look("other-tab")
        viewer.submit(second)
        look("step2")
        if version == "1":
            viewer.type(answers)
            viewer.submit("Check your booking")
            look("step3")
        site.wire.cut()
        viewer.open(f"{site.url}/booking", "Your booking cannot be read just now")
        look("unreadable")
        site.wire.mend()
        viewer.open(f"{site.url}/booking", "Check your booking")
        viewer.driver.switch_to.new_window("tab")
        viewer.open(f"{site.url}/booking", "Check your booking")
        viewer.submit("Your trip is booked")
        viewer.close_tab(tab)
        viewer.submit("Your trip is booked")
        look("done")
        viewer.follow("Book another trip", form)
        stale = viewer.driver.current_window_handle
        viewer.driver.switch_to.new_window("tab")
        viewer.open(f"{site.url}/booking/done", "Your trip is booked")
        viewer.click("Forget me", form)
        look("forgotten")
        viewer.type(answers)
        viewer.submit(second)
        if version == "1":
            viewer.type(answers)
            viewer.submit("Check your booking")
        viewer.submit("Your trip is booked")
        viewer.close_tab(stale)
        viewer.type(answers)
        viewer.submit(form)
        look("already-booked")
        viewer.driver.delete_all_cookies()
        viewer.submit(form)
        look("session-ended")
        # Straight to the origin: without a session, the edge would choose the stable version.
        origin = f"http://127.0.0.1:{site.ports[version]}"
        form_elsewhere = f"<form method=post action='{origin}/booking/trip'><button>Win</button></form>"
        viewer.driver.get(f"data:text/html,{form_elsewhere}")
        viewer.driver.find_element(By.TAG_NAME, "button").click()
        WebDriverWait(viewer.driver, 20).until(lambda driver: driver.find_elements(By.TAG_NAME, "h1"))
        look("from-another-site")
        # A viewer of the other version is moved here.
        site.rollout("set-weight", "2=100" if other == "2" else "2=0")
        site.wait_for_version(other)
        moved = window(running, home / "moved")
        moved.open(f"{site.url}/booking", "Your trip" if other == "2" else "When do you want to go?")
        moved.type(GRACE if other == "2" else ADA)
        moved.submit("Check your booking" if other == "2" else "Who is going?")
        if other == "1":
            site.rollout("set-weight", "2=100")
            site.rollout("promote", "2")
        site.rollout("abort", other, "--evict")
        site.wait_for_version(version)
        moved.open(f"{site.url}/booking", "Check your booking" if other == "2" else "Your trip")
        assert "You are on another version of this site now" in moved.text(), moved.text()
        moved.look(f"version{version}-moved")
    return "axe-core finds nothing on any page of either theme, and no page is wider than 320 pixels"


class Clock:
    """The time of several programs. It goes forward at once."""

    def __init__(self, folder):
        self.file, self.minutes = folder / "clock", 0
        self.forward(0)
        self.variables = clock_variables({"FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1"})

    def forward(self, minutes):
        self.minutes += minutes
        # Nobody reads half a line.
        (new := self.file.with_suffix(".new")).write_text(f"+{self.minutes * 60}s\n")
        new.replace(self.file)


class Site:
    """An edge and two versions as programs of their own, with a DynamoDB that can be cut off."""

    def __init__(self, running, folder, weight):
        self.running, self.folder, self.origins = running, folder, {}
        inner = folder / "dynamodb"
        inner.mkdir()
        self.dynamodb = logged_up(running, inner)
        self.wire = Wire(running, self.dynamodb.urls["DynamoDB"])
        self.tables = {"STICKSHIFT_SESSIONS_TABLE": "Sessions.Story", "STICKSHIFT_ROLLOUT_TABLE": "Rollout.Story"}
        self.access = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}
        self.environment = os.environ | self.tables | self.access | {
            "STICKSHIFT_KEYS": "0123456789abcdef" * 2, "AWS_ENDPOINT_URL_DYNAMODB": self.wire.url}
        self.ports, edge, self.admin = {"1": free_port(), "2": free_port()}, free_port(), free_port()
        origins = [part for version, port in self.ports.items() for part in ("--origin", f"{version}=localhost:{port}")]
        command = [STICKSHIFT, "edge", "--listen", f"127.0.0.1:{edge}", "--dynamodb", self.wire.url, *origins]
        start(running, [*command, "--weight", f"2={weight}"], edge, env=self.environment, **self.log())
        self.url = f"http://127.0.0.1:{edge}"
        for version in self.ports:
            self.start_version(version)

    def log(self):
        return {"stderr": self.running.enter_context(open(self.folder / "log", "a")), "stdout": subprocess.DEVNULL}

    def start_version(self, version):
        port, admin = self.ports[version], self.admin if version == "1" else free_port()
        command = [STICKSHIFT, "serve", "--theme", Path.cwd() / f"themes/version{version}.toml"]
        command += ["--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}"]
        process = subprocess.Popen(command, env=self.environment, **self.log())
        self.running.callback(lambda: (process.kill(), process.wait()))
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, "a version has ended"
            time.sleep(0.05)
        self.origins[version] = process

    def kill(self, version):
        self.origins[version].send_signal(signal.SIGKILL)
        self.origins[version].wait()

    def rollout(self, *arguments):
        command = [STICKSHIFT, "rollout", "--rollout-table", "Rollout.Story", "--sessions-table", "Sessions.Story"]
        done = subprocess.run([*command, *arguments], env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_for_version(self, version):
        wait_for_version(self, version)


class Window:
    """A browser window of somebody."""

    def __init__(self, running, profile, **preferences):
        self.running, self.profile, self.preferences = running, profile, preferences
        self.reopen()

    def reopen(self):
        self.driver = self.running.enter_context(chromium(self.profile, **self.preferences))
        self.driver.set_window_size(1000, 1000)

    def close_tab(self, back_to):
        self.driver.driver.close()
        self.driver.switch_to.window(back_to)

    def open(self, url, heading):
        self.driver.get(url)
        assert self.heading() == heading, self.text()

    def follow(self, link, heading):
        page = self.driver.find_element(By.TAG_NAME, "html")
        self.driver.find_element(By.LINK_TEXT, link).click()
        self.arrive(page, heading)

    def click(self, button, heading):
        page = self.driver.find_element(By.TAG_NAME, "html")
        self.driver.find_element(By.XPATH, f"//button[text()='{button}']").click()
        self.arrive(page, heading)

    def submit(self, heading):
        page = self.driver.find_element(By.TAG_NAME, "html")
        self.driver.find_element(By.CSS_SELECTOR, ".actions button").click()
        self.arrive(page, heading)

    def arrive(self, before, heading):
        wait = WebDriverWait(self.driver, 30)
        wait.until(lambda driver: is_gone(before))
        wait.until(lambda driver: driver.find_elements(By.TAG_NAME, "h1"))
        assert self.heading() == heading, self.text()
        for word in PERSONAL:
            assert word not in self.driver.current_url, self.driver.current_url

    def type(self, answers):
        """Answers the questions that this page asks."""
        for field in self.fields():
            value = answers[field.get_attribute("name")]
            if field.get_attribute("type") != "date":
                field.clear()
            field.send_keys(value)

    def fields(self):
        return self.driver.find_elements(By.CSS_SELECTOR, "form input:not([type=hidden])")

    def value(self, name):
        return self.driver.find_element(By.NAME, name).get_attribute("value")

    def values(self):
        return {field.get_attribute("name"): field.get_attribute("value") for field in self.fields()}

    def heading(self):
        return self.driver.find_element(By.TAG_NAME, "h1").text

    def text(self):
        return self.driver.find_element(By.TAG_NAME, "main").text

    def look(self, name):
        """Checks the page, and takes its picture."""
        check_accessibility(self.driver, AXE, name)
        if PICTURES:
            # As high as the page.
            height = self.driver.execute_script("return document.documentElement.scrollHeight")
            size = {"width": 800, "height": max(height, 500), "deviceScaleFactor": 1, "mobile": False}
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            write_picture(PICTURES / f"{name}.png", self.driver.get_screenshot_as_png())
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True})
        self.is_narrow()
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def is_narrow(self):
        width = self.driver.execute_script("return document.documentElement.scrollWidth")
        assert width <= 320, f"{self.heading()} is {width} pixels wide"


class Film:
    """The story in pictures, two windows beside each other."""

    def __init__(self):
        self.frames = []

    def shoot(self, caption, *windows):
        if not PICTURES:
            return
        shots = []
        for window in windows:
            window.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
            window.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                          {"width": 480, "height": 640, "deviceScaleFactor": 1, "mobile": False})
            shots.append(window.driver.get_screenshot_as_png())
            window.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.frames.append((caption, shots))

    def write(self):
        if not PICTURES:
            return
        from PIL import Image, ImageDraw, ImageFont
        font = ImageFont.load_default(size=24)
        images = []
        for caption, shots in self.frames:
            image = Image.new("RGB", (980, 720), "white")
            ImageDraw.Draw(image).text((10, 22), caption, "black", font)
            for place, shot in enumerate(shots):
                image.paste(Image.open(io.BytesIO(shot)), (place * 490 + 5, 75))
            images.append(image)
        images[0].save(PICTURES.parent / "story.webp", save_all=True, append_images=images[1:], duration=3000, loop=0,
                       quality=80)


def window(running, profile, **preferences):
    return Window(running, profile, **preferences)


def logged_up(running, folder, **options):
    """`stickshift up` that logs into a file."""
    return Up(running, folder, stderr=running.enter_context(open(folder / "log", "a")), **options)


def wait_for_version(site, version):
    """Waits until new viewers get that version, and no other."""
    deadline = time.monotonic() + 30
    seen = 0
    while seen < 5:
        page = Viewer(site.url).get("/").body.decode()
        seen = seen + 1 if f"This is application Version {version}" in page else 0
        assert time.monotonic() < deadline, f"new viewers do not get version {version}"
        time.sleep(0.2)
    # An edge uses a plan for up to ten seconds for whom a receipt decides.
    time.sleep(10)


def finished(up, expected):
    """The sessions that finished, by version, once the pulses tell of them."""
    deadline = time.monotonic() + 40
    while True:
        reports = json.loads(up.rollout("status", "--json"))["last_five_minutes"]
        counts = {version: report["finished"] for version, report in reports.items()}
        if counts == expected:
            break
        assert time.monotonic() < deadline, counts
        time.sleep(1)
    assert "finished" in up.rollout("status")
    return counts


def nothing_leaked(folder, site):
    """Looks for personal data where operators look: logs, metrics, the status."""
    texts = [log.read_text() for log in folder.rglob("log")]
    monitors = getattr(site, "dynamodb", site).urls["Monitors"]
    texts += [Viewer(monitors).get("/metrics").body.decode(), site.rollout("status", "--json"), site.rollout("history")]
    if isinstance(site, Site):
        texts.append(Viewer(f"http://127.0.0.1:{site.admin}").get("/metrics").body.decode())
    for text in texts:
        for word in PERSONAL:
            assert word not in text, f"{word} is in {text}"


main()
