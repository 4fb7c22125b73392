"""What lenses, sensors and codecs do to an image, drawn at random.

`degrade` takes one image; for a clip draw `ClipDegradation` once and `apply` it to every frame, so that light,
colour and lens stay while the sensor noise is fresh. The order follows the light: scene glow and haze, lens blur,
exposure and white balance, noise, tone curve, sharpening, resampling, compression.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from dualpose_ros.arrays import Float32s, RgbImage
from dualpose_ros.lab.synthetic.compiled import compiled


@dataclass(frozen=True)
class ClipDegradation:
    """One draw of everything that stays the same over a clip. The defaults change nothing.

    Lengths of blurs are fractions of the image's longer side; noise is in 0..1 of full scale.
    """

    exposure: float = 1.0
    gamma: float = 1.0
    contrast: float = 1.0
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    saturation: float = 1.0
    vignette: float = 0.0
    haze: float = 0.0
    haze_rgb: tuple[float, float, float] = (0.8, 0.8, 0.8)
    glow: float = 0.0
    glow_at: tuple[float, float] = (0.5, 0.0)
    glow_radius: float = 0.5
    motion_length: float = 0.0
    motion_angle: float = 0.0
    defocus: float = 0.0
    shot_noise: float = 0.0
    read_noise: float = 0.0
    chroma_noise: float = 0.0
    sharpen: float = 0.0
    resample: float = 1.0
    resample_mode: int = cv2.INTER_LINEAR
    jpeg_quality: int = 0
    toning: str = ""


def degrade_clip_params(rng: np.random.Generator, strength: float = 1.0) -> ClipDegradation:
    """Draw one camera's degradation. `strength` scales probabilities and sizes; 0 gives the identity.

    Raises ValueError for a negative strength.
    """
    if strength < 0:
        raise ValueError(f"degradation strength {strength} is negative")
    if strength == 0:
        return ClipDegradation()

    def happens(probability: float) -> bool:
        return bool(rng.random() < min(0.97, probability * strength))

    def spread(size: float) -> float:
        return float(rng.normal(0, size * strength))

    dark = happens(0.15)
    exposure = float(2.0 ** np.clip(spread(0.35) - (rng.uniform(0.8, 2.4) * strength if dark else 0.0), -4, 0.7))
    warm, tint = spread(0.10), spread(0.03)
    noisy = 2.5 if dark else 1.0
    small = happens(0.3)
    return ClipDegradation(
        exposure=exposure,
        gamma=float(np.exp(np.clip(spread(0.18), -0.7, 0.7))),
        contrast=float(np.exp(np.clip(spread(0.2), -0.6, 0.6))),
        white_balance=(float(np.exp(warm)), float(np.exp(tint)), float(np.exp(-warm))),
        saturation=float(np.clip(1 + spread(0.25), 0.1, 1.9)),
        vignette=float(rng.uniform(0.05, 0.5)) * strength if happens(0.3) else 0.0,
        haze=float(rng.uniform(0.05, 0.4)) * min(strength, 2.0) if happens(0.15) else 0.0,
        haze_rgb=_haze_colour(rng),
        glow=float(rng.uniform(0.1, 0.6)) * strength if happens(0.12) else 0.0,
        glow_at=(float(rng.uniform(-0.1, 1.1)), float(rng.uniform(-0.1, 0.7))),
        glow_radius=float(rng.uniform(0.15, 0.7)),
        motion_length=min(float(rng.exponential(0.012)), 0.045) * strength if happens(0.2) else 0.0,
        motion_angle=float(rng.uniform(0, np.pi)),
        defocus=min(float(rng.exponential(0.0035)), 0.011) * strength if happens(0.3) else 0.0,
        shot_noise=min(float(rng.exponential(0.02)) * noisy, 0.10) * strength if happens(0.6) else 0.0,
        read_noise=min(float(rng.exponential(0.008)) * noisy, 0.05) * strength if happens(0.6) else 0.0,
        chroma_noise=min(float(rng.exponential(0.012)) * noisy, 0.06) * strength if happens(0.3) else 0.0,
        sharpen=float(rng.uniform(0.2, 1.5)) * strength if happens(0.35) else 0.0,
        resample=float(rng.uniform(1.0, 1.0 + 1.6 * min(strength, 2.0))) if small else 1.0,
        resample_mode=int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST], p=[0.6, 0.35, 0.05])),
        jpeg_quality=int(rng.integers(30, 96)) if happens(0.8) else 0,
        toning=str(rng.choice(["grey", "sepia"], p=[0.75, 0.25])) if happens(0.04) else "",
    )


def degrade(rng: np.random.Generator, image: RgbImage, strength: float = 1.0) -> RgbImage:
    """A degraded copy of an RGB image (H, W, 3) uint8; strength 0 returns the same pixels."""
    return apply(degrade_clip_params(rng, strength), image, rng)


def apply(params: ClipDegradation, image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Degrade one frame (H, W, 3) uint8 by `params`; `rng` gives this frame's sensor noise.

    Raises ValueError if the image isn't (H, W, 3) uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"an RGB image (H, W, 3) uint8 is needed, got {image.shape} {image.dtype}")
    result = _blur(params, image)
    result = _light(params, result)
    result = _tone(params, result)
    result = _noise(params, result, rng)
    result = _sharpen(params, result)
    result = _resample(params, result)
    if params.jpeg_quality:
        result = _jpeg(result, params.jpeg_quality)
    return result.copy() if result is image else result


def _haze_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    base = rng.uniform(0.5, 0.95)
    tint = rng.normal(0, 0.04, 3)
    r, g, b = np.clip(base + tint, 0, 1)
    return float(r), float(g), float(b)


def _blur(params: ClipDegradation, image: RgbImage) -> RgbImage:
    """Defocus, then motion along a line; both below half a pixel do nothing."""
    side = max(image.shape[:2])
    sigma = params.defocus * side
    if sigma > 0.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)
    length = params.motion_length * side
    if length > 1.5:
        image = np.asarray(cv2.filter2D(image, -1, motion_kernel(length, params.motion_angle)), dtype=np.uint8)
    return image


def motion_kernel(length_px: float, angle: float) -> Float32s:
    """Line kernel (odd, odd) of the length in pixels and the angle in radians, summing to one."""
    size = int(np.ceil(length_px)) | 1
    kernel = np.zeros((size, size), np.float32)
    middle = (size - 1) / 2
    steps = np.linspace(-0.5, 0.5, 4 * size) * length_px
    x = np.clip(np.rint(middle + steps * np.cos(angle)), 0, size - 1).astype(int)
    y = np.clip(np.rint(middle + steps * np.sin(angle)), 0, size - 1).astype(int)
    np.add.at(kernel, (y, x), 1.0)
    return kernel / kernel.sum()


def _light(params: ClipDegradation, image: RgbImage) -> RgbImage:
    """Glow, haze and vignette: smooth over the image, so computed on a coarse grid and blended once."""
    if not (params.glow or params.haze or params.vignette):
        return image
    height, width = image.shape[:2]
    coarse_h, coarse_w = 24, 24
    y = (np.arange(coarse_h, dtype=np.float32)[:, None] + 0.5) / coarse_h
    x = (np.arange(coarse_w, dtype=np.float32)[None, :] + 0.5) / coarse_w
    gain = 1 - params.vignette * ((x - 0.5) ** 2 + (y - 0.5) ** 2) * 2
    gain = gain * (1 - params.haze)
    distance2 = ((x - params.glow_at[0]) ** 2 + (y - params.glow_at[1]) ** 2) / params.glow_radius**2
    glow = params.glow * np.exp(-distance2)
    add = params.haze * np.array(params.haze_rgb, np.float32) + glow[..., None] * np.array(
        (1.0, 0.97, 0.88), np.float32
    )
    gain_full = cv2.resize(np.clip(gain, 0, 1).astype(np.float32), (width, height))
    add_full = cv2.resize((255 * np.clip(add, 0, 1)).astype(np.uint8), (width, height))
    scaled = cv2.multiply(image, cv2.merge([gain_full] * 3), dtype=cv2.CV_8U)
    return np.asarray(cv2.add(scaled, add_full), dtype=np.uint8)


def _tone(params: ClipDegradation, image: RgbImage) -> RgbImage:
    """Exposure, white balance, contrast and gamma as one table a channel, then saturation and toning."""
    ramp = np.arange(256, dtype=np.float32) / 255
    neutral = params.exposure == params.gamma == params.contrast == 1.0 and set(params.white_balance) == {1.0}
    if not neutral:
        linear = ramp**2.2 * params.exposure
        table = np.stack([linear * gain for gain in params.white_balance], axis=-1)
        # a soft shoulder instead of a hard clip, as cameras have
        table = np.where(table > 0.8, 0.8 + 0.2 * np.tanh((table - 0.8) / 0.2), table)
        table = table ** (params.gamma / 2.2)
        table = (table - 0.45) * params.contrast + 0.45
        lut = np.clip(np.rint(255 * table), 0, 255).astype(np.uint8).reshape(1, 256, 3)
        image = np.asarray(cv2.LUT(image, lut), dtype=np.uint8)
    if params.toning or params.saturation != 1.0:
        luma = np.array([[0.299, 0.587, 0.114]], np.float32)
        if params.toning:
            tone = (1.08, 0.96, 0.78) if params.toning == "sepia" else (1.0, 1.0, 1.0)
            matrix = np.array(tone, np.float32)[:, None] * luma
        else:
            matrix = params.saturation * np.eye(3, dtype=np.float32) + (1 - params.saturation) * luma
        image = np.asarray(cv2.transform(image, matrix), dtype=np.uint8)
    return image


@lru_cache(maxsize=1)
def _gaussian_pool() -> Float32s:
    """White noise to cut frames of sensor noise from: a fresh draw for each pixel costs five times more."""
    pool = np.random.default_rng(9).standard_normal(1 << 21, dtype=np.float32)
    pool.setflags(write=False)
    return pool


def _noise(params: ClipDegradation, image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Read noise everywhere, shot noise growing with the root of the signal, and blotches of colour."""
    if not (params.shot_noise or params.read_noise or params.chroma_noise):
        return image
    deviation = np.sqrt(params.read_noise**2 + params.shot_noise**2 * np.arange(256) / 255) * 255
    pool = _gaussian_pool()
    start, chroma_start = (int(v) for v in rng.integers(0, len(pool), 2))
    result = np.empty_like(image)
    image = np.ascontiguousarray(image)
    chroma = np.float32(255 * params.chroma_noise)
    _add_noise(image, deviation.astype(np.float32), chroma, pool, start, chroma_start, result)
    return result


@compiled(fastmath=True)
def _add_noise(
    image: RgbImage,
    deviation: Float32s,
    chroma: np.float32,
    pool: Float32s,
    start: int,
    chroma_start: int,
    result: RgbImage,
) -> None:
    """Add pool noise scaled by `deviation` of each value, and noise in blocks of 2 x 2 pixels scaled by `chroma`."""
    height, width, channels = image.shape
    last = len(pool) - 1  # a power of two less one, so that & wraps
    for y in range(height):
        place = start + y * width * channels
        blotch = chroma_start + (y >> 1) * ((width >> 1) + 1) * channels
        for x in range(width):
            for c in range(channels):
                value = image[y, x, c]
                noisy = value + deviation[value] * pool[(place + x * channels + c) & last]
                noisy += chroma * pool[(blotch + (x >> 1) * channels + c) & last]
                result[y, x, c] = np.uint8(min(255.0, max(0.0, noisy + 0.5)))


def _sharpen(params: ClipDegradation, image: RgbImage) -> RgbImage:
    if not params.sharpen:
        return image
    soft = cv2.GaussianBlur(image, (0, 0), 1.2)
    return np.asarray(cv2.addWeighted(image, 1 + params.sharpen, soft, -params.sharpen, 0), dtype=np.uint8)


def _resample(params: ClipDegradation, image: RgbImage) -> RgbImage:
    """The image reduced, and enlarged again."""
    if params.resample <= 1.02:
        return image
    height, width = image.shape[:2]
    small = (max(8, round(width / params.resample)), max(8, round(height / params.resample)))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(reduced, (width, height), interpolation=params.resample_mode), dtype=np.uint8)


def _jpeg(image: RgbImage, quality: int) -> RgbImage:
    """A round trip through the codec, in the channel order that its chroma subsampling expects."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise RuntimeError("OpenCV could not encode a JPEG image")
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if decoded is None:
        raise RuntimeError("OpenCV could not decode the JPEG image that it wrote")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)
