"""Make docs/images/patient.png: the top of a demo patient's page, as Chromium shows it.

usage: .venv/bin/python tools/readme_picture.py demo-out/results/sub-028.html
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "patient.png"
WIDTH, HEIGHT, TOP = 1000, 1515, 85
QUIET = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --hide-scrollbars"


def main(page: Path) -> None:
    """Photograph, crop, reduce to 64 colours."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "page.png"
        size = f"--window-size={WIDTH},{HEIGHT + 400}"
        command = ["chromium", *QUIET.split(), f"--user-data-dir={folder}/profile", size, f"--screenshot={shot}"]
        subprocess.run([*command, page.resolve().as_uri()], check=True, capture_output=True, timeout=120)
        with Image.open(shot) as whole:
            part = whole.convert("RGB").crop((0, TOP, WIDTH, HEIGHT))
        part.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
