"""A page on the way to the engine: its pixels, what was done to them, and the way back to the page."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self, cast

from PIL import Image

from ocrqueue.document import Page, Preparation
from ocrqueue.job import PreparationStep
from ocrqueue_worker.geometry import Rotation, to_original, upright
from ocrqueue_worker.preparation.affine import IDENTITY, Affine, page_moved, scaling, then


@dataclass(frozen=True)
class Picture:
    """`image` has mode "L" once anything was done."""

    image: Image.Image
    page_size: tuple[int, int]
    to_page: Affine = IDENTITY
    steps: tuple[PreparationStep, ...] = ()
    rotation: Rotation = 0
    angle: float = 0.0
    scale: float = 1.0

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        return cls(image, image.size)

    def repainted(self, step: PreparationStep, image: Image.Image) -> Self:
        """With other pixels in the same places."""
        return replace(self, image=image, steps=(*self.steps, step))

    def turned(self, rotation: Rotation) -> Self:
        """Turned back by so many degrees, by which its text is turned clockwise."""
        width, height = self.image.size
        origin, across, down, _ = to_original(((0, 0), (1, 0), (0, 1), (0, 0)), rotation, width, height)
        step: Affine = (
            *(across[0] - origin[0], down[0] - origin[0], origin[0]),
            *(across[1] - origin[1], down[1] - origin[1], origin[1]),
        )
        return replace(
            self,
            image=upright(self.image, rotation),
            to_page=then(step, self.to_page),
            steps=self.steps if "rotate" in self.steps else (*self.steps, "rotate"),
            rotation=cast("Rotation", (self.rotation + rotation) % 360),
        )

    def mirrored(self) -> Self:
        """Left and right exchanged."""
        return replace(
            self,
            image=self.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
            to_page=then((-1.0, 0.0, self.image.width, 0.0, 1.0, 0.0), self.to_page),
            steps=(*self.steps, "mirror"),
        )

    def part(self, box: tuple[int, int, int, int]) -> Self:
        """What is in this box of the picture, to be tried; it has no way back."""
        return replace(self, image=self.image.crop(box))

    def deskewed(self, angle: float, background: int) -> Self:
        """Set straight, where its lines fall to the right by so many degrees."""
        width, height = self.image.size
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        wide = math.ceil(width * abs(cos) + height * abs(sin))
        high = math.ceil(width * abs(sin) + height * abs(cos))
        step: Affine = (
            *(cos, -sin, width / 2 - cos * wide / 2 + sin * high / 2),
            *(sin, cos, height / 2 - sin * wide / 2 - cos * high / 2),
        )
        # `background` is a level of grey
        image = self.image.convert("L").transform(
            (wide, high), Image.Transform.AFFINE, step, resample=Image.Resampling.BICUBIC, fillcolor=background
        )
        return replace(
            self,
            image=image,
            to_page=then(step, self.to_page),
            steps=(*self.steps, "deskew"),
            angle=angle,
        )

    def enlarged(self, factor: float) -> Self:
        width, height = self.image.size
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        return replace(
            self,
            image=self.image.resize(size, Image.Resampling.BICUBIC),
            to_page=then(scaling(width / size[0], height / size[1]), self.to_page),
            steps=(*self.steps, "enlarge"),
            scale=round(self.scale * factor, 3),
        )

    def on_page(self, read: Page) -> Page:
        """What was read on this picture, in the page's pixels."""
        tiles = read.preparation.tiles if read.preparation else 1
        done = Preparation(steps=self.steps, angle=round(self.angle, 2), scale=self.scale, tiles=tiles)
        rotation = (self.rotation + read.rotation) % 360
        return page_moved(read, self.to_page, self.page_size).model_copy(
            update={"rotation": rotation, "preparation": done}
        )
