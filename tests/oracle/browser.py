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


def ask(body):
    """What a page of ours with a script puts into #out as JSON, and its console."""
    with tempfile.TemporaryDirectory() as folder:
        outer = Path(folder) / "outer.html"
        outer.write_text(f"<!doctype html><body>{body}<pre id='out'></pre>")
        got = run("--virtual-time-budget=5000", "--dump-dom", outer.as_uri())
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


def measure(page, width):
    """What the page is like inside a window of `width`, and its console: asked by a script of ours from outside."""
    return ask(f"""<iframe id="f" width="{width}" height="2000" src="{Path(page).as_uri()}">
</iframe><script>
document.getElementById("f").onload = () => {{
  const d = document.getElementById("f").contentDocument, text = (q) => [...d.querySelectorAll(q)].map(e => e.textContent);
  const wide = [...d.querySelectorAll("body *")].filter(e => !e.closest(".scroll") && !e.closest("svg")
      && e.getBoundingClientRect().right > {width} + 1).map(e => e.tagName + "." + e.className);
  const places = [...d.querySelectorAll("svg text")].map(e => e.getBoundingClientRect().height).filter(h => h > 0);
  document.getElementById("out").textContent = JSON.stringify({{
    width: d.documentElement.scrollWidth, title: d.title, h1: text("h1"), h2: text("h2"), verdict: text(".verdict"),
    absent: text(".absent"), wide, svgs: d.querySelectorAll("svg").length, scripts: d.scripts.length,
    outside: [...d.querySelectorAll("[src],link[href]")].map(e => e.src || e.href).filter(u => !u.startsWith("data:")),
    links: [...d.querySelectorAll("a[href^='#']")].filter(a => !d.getElementById(a.getAttribute("href").slice(1))).length,
    letters: Math.min(...places)}});
}};</script>""")
