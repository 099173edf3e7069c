"""What stays the same and what drifts while a car drives towards one sign."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from devices.renderer.background import TEXTURE_SIZE, TEXTURES
from devices.renderer.camera import Lens, Light, Sensor
from devices.renderer.covering import Cover, drawn_cover
from devices.renderer.pose import Pose, frame_sign
from devices.renderer.scene import Backdrop, Neighbour, Post, Scene, Wear
from devices.renderer.signs import SIGNS, plate_outline


@dataclass(frozen=True, slots=True)
class Drift:
    """A value that swings slowly about its middle; time runs from 0 to 1 over a track."""

    middle: float
    swing: float
    turns: float
    phase: float

    def at(self, time: float) -> float:
        """The value at `time` in [0, 1]."""
        return self.middle + self.swing * float(np.sin(2 * np.pi * (self.turns * time + self.phase)))


@dataclass(frozen=True, slots=True)
class Approach:
    """One drive towards one sign.

    Sizes are picture sides in pixels; `borders` are left, top, right, bottom as shares of the sign; `backdrop_reach` is
    the side of the visible background in texture pixels at the end; `defocus` and `motion` are pixels of blur in a
    picture 48 pixels wide.
    """

    class_id: int
    first_size: float
    last_size: float
    size_limits: tuple[int, int]
    yaw: Drift
    pitch: Drift
    roll: Drift
    distance: float
    borders: tuple[Drift, Drift, Drift, Drift]
    texture: int
    backdrop_reach: float
    backdrop_x: Drift
    backdrop_y: Drift
    exposure: Drift
    light: Light
    defocus: Drift
    motion: Drift
    motion_angle: float
    sensor: Sensor
    post: Post | None
    neighbour: Neighbour | None
    wear: Wear
    cover: Cover | None

    def size_at(self, time: float) -> float:
        """Picture side in pixels: the inverse of a distance that shrinks evenly."""
        return 1.0 / (1.0 / self.first_size + (1.0 / self.last_size - 1.0 / self.first_size) * time)

    def scene_at(self, time: float) -> Scene:
        """The scene at `time` in [0, 1]."""
        size = self.size_at(time)
        pose = Pose(self.yaw.at(time), self.pitch.at(time), self.roll.at(time), self.distance)
        left, top, right, bottom = (max(0.06, border.at(time)) for border in self.borders)
        framing = frame_sign(plate_outline(self.class_id), pose, size, (left, top, right, bottom), self.size_limits)
        # Beyond 1.65 the grey of the struck-out pictograms would be as white as their plate.
        gain = min(self.exposure.at(time), 1.65 / self.light.sign_gain)
        light = replace(
            self.light, sign_gain=self.light.sign_gain * gain, background_gain=self.light.background_gain * gain
        )
        # Blur grows slower than the picture, as in GTSRB, whose smallest pictures are the softest.
        relative = 0.25 + 0.75 * size / 48.0
        lens = Lens(
            max(0.0, self.defocus.at(time)) * relative, max(0.0, self.motion.at(time)) * relative, self.motion_angle
        )
        return Scene(
            class_id=self.class_id,
            framing=framing,
            backdrop=self._backdrop_at(time, size, framing.width / framing.height),
            post=self.post,
            neighbour=self.neighbour,
            wear=self.wear,
            cover=self.cover,
            light=light,
            lens=lens,
            sensor=self.sensor,
        )

    def _backdrop_at(self, time: float, size: float, aspect: float) -> Backdrop:
        reach = self.backdrop_reach * float(np.sqrt(size / self.last_size))
        width = min(reach, reach * aspect, TEXTURE_SIZE, TEXTURE_SIZE * aspect)
        height = width / aspect
        # The middle may drift past the end of the texture: it is then held at the end, never sampled outside.
        left = min(max(0.0, self.backdrop_x.at(time) - width / 2), TEXTURE_SIZE - width)
        top = min(max(0.0, self.backdrop_y.at(time) - height / 2), TEXTURE_SIZE - height)
        return Backdrop(self.texture, (left, top, min(left + width, TEXTURE_SIZE), min(top + height, TEXTURE_SIZE)))


def drawn_approach(class_id: int, min_size: int, max_size: int, rng: np.random.Generator) -> Approach:
    """A random drive towards a sign of the class."""

    def drift(middle: float, swing: float) -> Drift:
        return Drift(middle, swing * float(rng.random()), float(rng.uniform(0.2, 1.2)), float(rng.random()))

    uniform = rng.uniform
    first_size = float(uniform(min_size, 1.55 * min_size))
    return Approach(
        class_id=class_id,
        first_size=first_size,
        last_size=max(first_size, float(uniform(0.42 * max_size, max_size))),
        size_limits=(min_size, max_size),
        yaw=drift(float(np.clip(rng.normal(0, 0.27), -0.6, 0.6)), 0.12),
        pitch=drift(float(np.clip(rng.normal(0, 0.11), -0.3, 0.3)), 0.05),
        roll=drift(float(np.clip(rng.normal(0, 0.065), -0.17, 0.17)), 0.03),
        distance=float(uniform(4.0, 12.0)),
        borders=(drift(0.12, 0.06), drift(0.12, 0.06), drift(0.12, 0.06), drift(0.12, 0.06)),
        texture=int(rng.integers(TEXTURES)),
        backdrop_reach=float(uniform(40, 150)),
        backdrop_x=drift(float(uniform(0, TEXTURE_SIZE)), 30),
        backdrop_y=drift(float(uniform(0, TEXTURE_SIZE)), 20),
        exposure=drift(1.0, 0.15),
        light=_drawn_light(rng),
        defocus=drift(float(uniform(0.1, 0.75)), 0.2),
        motion=drift(float(uniform(-1.5, 1.8)), 0.5),
        motion_angle=float(uniform(0, np.pi)),
        sensor=Sensor(float(uniform(0.003, 0.013)), float(uniform(0.002, 0.011)), float(uniform(0.2, 1.0))),
        post=_drawn_post(rng),
        neighbour=_drawn_neighbour(rng),
        wear=_drawn_wear(rng),
        cover=drawn_cover(rng) if rng.random() < 0.22 else None,
    )


def _drawn_light(rng: np.random.Generator) -> Light:
    uniform = rng.uniform
    mood = rng.random()
    if mood < 0.40:  # an ordinary day
        sign, background = uniform(0.45, 1.0), uniform(0.4, 1.2)
    elif mood < 0.58:  # the sun behind the sign, or the sign in the shade before a bright sky
        sign, background = uniform(0.17, 0.42), uniform(0.7, 1.7)
    elif mood < 0.84:  # dusk, wood, rain
        sign, background = uniform(0.13, 0.40), uniform(0.08, 0.5)
    else:  # too long an exposure, or the sun on the sign
        sign, background = uniform(1.0, 1.6), uniform(0.4, 1.8)
    warmth, green = float(rng.normal(0, 0.06)), float(rng.normal(0, 0.018))
    shadowed = rng.random() < 0.22
    return Light(
        sign_gain=float(sign),
        background_gain=float(background),
        tint=(1.0 + warmth, 1.0 + green, 1.0 - warmth),
        slope=(float(rng.normal(0, 0.1)), float(rng.normal(0, 0.1))),
        shadow_depth=float(uniform(0.2, 0.5)) if shadowed else 0.0,
        shadow_angle=float(uniform(0, 2 * np.pi)),
        shadow_offset=float(uniform(-0.5, 0.5)),
        shadow_width=float(uniform(0.05, 0.5)),
        veil=float(uniform(0.05, 0.4)) if rng.random() < 0.18 else 0.0,
        glare=float(uniform(0.1, 0.5)) if rng.random() < 0.08 else 0.0,
        glare_centre=(float(uniform(-0.8, 0.8)), float(uniform(-0.8, 0.8))),
    )


def _drawn_post(rng: np.random.Generator) -> Post | None:
    if rng.random() < 0.25:
        return None
    return Post(float(rng.normal(0, 0.05)), float(rng.uniform(0.05, 0.11)), float(rng.uniform(0.2, 0.75)))


def _drawn_neighbour(rng: np.random.Generator) -> Neighbour | None:
    kind = rng.random()
    if kind < 0.6:
        return None
    centre_y = float(rng.uniform(1.85, 2.1)) * (1.0 if rng.random() < 0.7 else -1.0)
    return Neighbour(int(rng.integers(len(SIGNS))) if kind < 0.8 else None, centre_y)


def _drawn_wear(rng: np.random.Generator) -> Wear:
    red, green, blue = (float(part) for part in np.clip(rng.normal(1.0, 0.03, 3), 0.9, 1.1))
    fading = float(rng.uniform(0.0, 0.4)) if rng.random() < 0.5 else 0.0
    dirt = float(rng.uniform(0.1, 0.5)) if rng.random() < 0.35 else 0.0
    return Wear((red, green, blue), fading, dirt, int(rng.integers(16)))
