"""3D props for the synthetic world, by where they go: FURNITURE, STREET, HANDHELD, WORN.

Each maker takes a random generator and returns a `Mesh` of natural, varied size (metres, y up, facing +z).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from dualpose_ros.lab.synthetic.things import carried, furniture, street
from dualpose_ros.lab.synthetic.things.mesh import TEXTURES, Mesh, merge, transform
from dualpose_ros.lab.synthetic.things.occluders import foreground_occluder

__all__ = [
    "FURNITURE", "HANDHELD", "STREET", "TEXTURES", "WORN", "Maker", "Mesh", "foreground_occluder", "merge", "transform",
]  # fmt: skip

Maker = Callable[[np.random.Generator], Mesh]

FURNITURE: Mapping[str, Maker] = MappingProxyType({
    "chair": furniture.make_chair, "stool": furniture.make_stool, "office_chair": furniture.make_office_chair,
    "sofa": furniture.make_sofa, "armchair": furniture.make_armchair, "table": furniture.make_table,
    "desk": furniture.make_desk, "counter": furniture.make_counter, "shelf": furniture.make_shelf,
    "box_pile": furniture.make_box_pile, "plant": furniture.make_plant, "door_frame": furniture.make_door_frame,
    "lamp": furniture.make_lamp,
})  # fmt: skip
"""Indoor things; those one sits on have seat_height_m, those one sits at top_height_m."""

STREET: Mapping[str, Maker] = MappingProxyType({
    "pole": street.make_pole, "railing": street.make_railing, "car": street.make_car, "bench": street.make_bench,
    "bicycle": street.make_bicycle, "tree": street.make_tree, "hedge": street.make_hedge,
    "bollard": street.make_bollard, "wall": street.make_wall,
})  # fmt: skip

HANDHELD: Mapping[str, Maker] = MappingProxyType({
    "handbag": carried.make_handbag, "suitcase": carried.make_suitcase, "ball": carried.make_ball,
    "racket": carried.make_racket, "umbrella": carried.make_umbrella, "book": carried.make_book,
    "phone": carried.make_phone, "cup": carried.make_cup, "bottle": carried.make_bottle, "bat": carried.make_bat,
    "skis": carried.make_skis, "board": carried.make_board, "tray": carried.make_tray,
})  # fmt: skip

WORN: Mapping[str, Maker] = MappingProxyType({
    "backpack": carried.make_backpack, "hat": carried.make_hat, "sunglasses": carried.make_sunglasses,
    "scarf": carried.make_scarf,
})  # fmt: skip
