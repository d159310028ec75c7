"""Chromium without a window: what it says about a page, and how the page looks."""

import base64
import html
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

# No network: a page that asked for anything would fail, and the browser's own questions are silenced.
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND",
         "--allow-file-access-from-files", "--enable-logging=stderr"]


DARK = ("--blink-settings=preferredColorScheme=0",)


def chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return name
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    assert os.path.exists(mac), "no Chromium: ./check installs it on Debian; on a Mac install Google Chrome"
    return mac


def run(*flags):
    with tempfile.TemporaryDirectory() as profile:
        return subprocess.run([chromium(), *FLAGS, f"--user-data-dir={profile}", *flags], capture_output=True, text=True,
                              timeout=120)


def console(stderr):
    """Lines that a page wrote to its console, errors of loading and parsing among them."""
    return [line for line in stderr.splitlines() if ":CONSOLE" in line]


def ask(body, flags=()):
    """What a page of ours with a script puts into #out as JSON, and its console."""
    with tempfile.TemporaryDirectory() as folder:
        outer = Path(folder) / "outer.html"
        outer.write_text(f"<!doctype html><body>{body}<pre id='out'></pre>")
        got = run(*flags, "--virtual-time-budget=5000", "--dump-dom", outer.as_uri())
    found = re.search(r'<pre id="out">(\{.*?\})</pre>', got.stdout, re.S)
    assert found, got.stdout[-2000:] + got.stderr[-2000:]
    return json.loads(html.unescape(found[1])), console(got.stderr)


def screenshot(page, path, width, height):
    """A picture of the page, kept at `path`: its size, how much of it is not background, the same for each of eight bands
    from top to bottom, how many colours there are. And the console."""
    got = run(f"--window-size={width},{height}", f"--screenshot={path}", Path(page).as_uri())
    assert Path(path).exists(), got.stderr
    code = base64.b64encode(Path(path).read_bytes()).decode()
    seen, _ = ask(f"""<img id="p" src="data:image/png;base64,{code}"><script>
document.getElementById("p").onload = (event) => {{
  const image = event.target, canvas = document.createElement("canvas"), w = canvas.width = image.naturalWidth,
      h = canvas.height = image.naturalHeight, context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, w, h).data.buffer), bands = new Array(8).fill(0);
  let drawn = 0;
  pixels.forEach((pixel, i) => {{
    if (pixel === pixels[0]) return;
    drawn++;
    bands[Math.floor(i / w / h * 8)]++;
  }});
  document.getElementById("out").textContent = JSON.stringify(
      {{width: w, height: h, drawn: drawn / pixels.length, bands, colours: new Set(pixels).size}});
}};</script>""")
    return seen, console(got.stderr)


# For scripts of ours that look into a page: `d` is its document, `shown` what has a place on it, `text` the texts of all
# that match, `contrast` the least contrast of letters against what they stand on, with the letters it was found at.
LOOK = """
const d = frame.contentDocument, w = frame.contentWindow, text = (q) => [...d.querySelectorAll(q)].map(e => e.textContent);
const shown = (e) => e.getBoundingClientRect().height > 0;
const rgb = (colour) => (colour.match(/[0-9.]+/g) || []).map(Number);
const light = (colour) => rgb(colour).slice(0, 3).map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const colour = w.getComputedStyle(e).backgroundColor, parts = rgb(colour);
    if (parts.length === 3 || parts[3] > 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
const contrast = () => [...d.querySelectorAll("body *")].filter(e => shown(e) && !e.matches("svg .on")
    && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).map(e => {
  const style = w.getComputedStyle(e), a = light(e.closest("svg") ? style.fill : style.color), b = light(ground(e));
  return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.textContent.slice(0, 40)];
}).sort((a, b) => a[0] - b[0])[0];
"""


def look(page, width, expression, opened=False, flags=()):
    """The object that a script of ours finds looking into the page from outside, in a window of `width`, with all that
    is folded opened or not; and the page's console."""
    unfold = 'd.querySelectorAll("details").forEach(e => { e.open = true; });' if opened else ""
    return ask(f"""<iframe id="f" width="{width}" height="2000" src="{Path(page).as_uri()}">
</iframe><script>
const frame = document.getElementById("f");
frame.onload = () => {{
  {LOOK}
  {unfold}
  document.getElementById("out").textContent = JSON.stringify({expression});
}};</script>""", flags)


def measure(page, width, opened=False, flags=()):
    """What the page is like, whatever page it is."""
    return look(page, width, f"""{{
    width: d.documentElement.scrollWidth, title: d.title, lang: d.documentElement.lang, h1: text("h1"), h2: text("h2"),
    verdict: text(".verdict"), absent: text(".absent"), svgs: d.querySelectorAll("svg").length, scripts: d.scripts.length,
    wide: [...d.querySelectorAll("body *")].filter(e => !e.closest(".scroll") && !e.closest("svg")
        && e.getBoundingClientRect().right > {width} + 1).map(e => e.tagName + "." + e.className),
    outside: [...d.querySelectorAll("[src],link[href]")].map(e => e.src || e.href).filter(u => !u.startsWith("data:")),
    links: [...d.querySelectorAll("a[href^='#']")].filter(a => !d.getElementById(a.getAttribute("href").slice(1))).length,
    levels: [...d.querySelectorAll("h1,h2,h3,h4,h5,h6")].map(e => Number(e.tagName[1])),
    silent: [...d.querySelectorAll("svg")].filter(e => e.getAttribute("role") !== "img" || !e.getAttribute("aria-label")
        || !e.querySelector("desc")?.textContent).length,
    contrast: contrast(),
    letters: Math.min(...[...d.querySelectorAll("svg text")].map(e => e.getBoundingClientRect().height).filter(h => h > 0))}}""",
                opened, flags)
