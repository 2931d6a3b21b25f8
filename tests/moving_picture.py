"""A moving picture: what a page of Chromium looks like as it changes, as an animated WebP.

Chromium makes each frame's WebP, cut to what has changed since the one before; here they are put into one file, as
https://developers.google.com/speed/webp/docs/riff_container has it.
"""

import base64
import struct
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

QUALITY = 0.78
FOREVER = 0
MOVES = b"\x02\0\0\0"
"""The one flag of VP8X that is set: this is an animation."""
AS_IT_IS = b"\x02"
"""Of a frame: it covers what was there, and stays when the next one comes."""

CUT = """async ([png, quality]) => {
  const image = await createImageBitmap(await (await fetch("data:image/png;base64," + png)).blob());
  const { width, height } = image;
  const canvas = new OffscreenCanvas(width, height);
  const all = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  all.drawImage(image, 0, 0);
  const pixels = new Uint32Array(all.getImageData(0, 0, width, height).data.buffer);
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let at = 0; at < pixels.length; at++) {
    if (window.before && window.before[at] === pixels[at]) continue;
    const x = at % width, y = (at - x) / width;
    left = Math.min(left, x); right = Math.max(right, x + 1);
    top = Math.min(top, y); bottom = Math.max(bottom, y + 1);
  }
  window.before = pixels;
  if (right <= left) return null;
  left -= left % 2; top -= top % 2;  // a frame begins at an even place
  const part = new OffscreenCanvas(right - left, bottom - top);
  part.getContext("2d", { alpha: false }).drawImage(image, -left, -top);
  const blob = await part.convertToBlob({ type: "image/webp", quality });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return { left, top, width: part.width, height: part.height, all: [width, height], webp: btoa(text) };
}"""


class MovingPicture:
    """`cutter`: a blank page, which compares the frames. A frame that shows nothing new is not one."""

    def __init__(self, cutter: Page) -> None:
        self.cutter = cutter
        self.frames: list[dict[str, Any]] = []

    def add(self, png: bytes) -> bool:
        """Whether it showed anything new."""
        made = self.cutter.evaluate(CUT, [base64.b64encode(png).decode(), QUALITY])
        if made is not None:
            self.frames.append(made)
        return made is not None

    def save(self, file: Path, durations_ms: list[int]) -> None:
        """How long each frame is shown, as many as there are frames."""
        width, height = self.frames[0]["all"]
        body = b"WEBP" + chunk(b"VP8X", MOVES + three(width - 1) + three(height - 1))
        body += chunk(b"ANIM", b"\xff\xff\xff\xff" + struct.pack("<H", FOREVER))
        for frame, duration_ms in zip(self.frames, durations_ms, strict=True):
            place = three(frame["left"] // 2) + three(frame["top"] // 2)
            size = three(frame["width"] - 1) + three(frame["height"] - 1)
            head = place + size + three(duration_ms) + AS_IT_IS
            body += chunk(b"ANMF", head + picture_of(base64.b64decode(frame["webp"])))
        file.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at + 8 <= len(content):
        (length,) = struct.unpack_from("<I", content, at + 4)
        found.append((content[at : at + 4], content[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return found


def picture_of(webp: bytes) -> bytes:
    """The one chunk of a still picture that holds its pixels."""
    name, pixels = next(one for one in chunks(webp[12:]) if one[0] in (b"VP8 ", b"VP8L"))
    return chunk(name, pixels)


def durations_ms(file: Path) -> list[int]:
    """How long each frame of a moving picture is shown."""
    inside = chunks(file.read_bytes()[12:])
    return [int.from_bytes(content[12:15], "little") for name, content in inside if name == b"ANMF"]
