"""What the paper's tables say (Cheng, Wang, Tan, TPAMI 2022), and where each of them is measured here."""

from collections.abc import Mapping

from dualpose_ros.lab.evaluation.fusion.measures import COLUMNS

TABLE_3: Mapping[str, tuple[float, float, float, float]] = {
    "TD (w/o MP)": (43.7, 41.0, 81.6, 42.8),
    "TD (w MP)": (45.2, 48.9, 87.5, 45.7),
    "BU (w/o CH)": (44.2, 34.5, 76.6, 40.2),
    "BU (w CH)": (46.1, 35.1, 78.0, 41.5),
    "TD + BU (w/o MP, CH)": (44.9, 42.6, 82.8, 43.1),
    "TD + BU (hard)": (46.1, 48.9, 87.5, 46.2),
    "TD + BU (linear)": (46.1, 49.2, 88.0, 46.7),
    "TD + BU (w/o PM)": (46.0, 48.6, 85.5, 45.3),
    "TD + BU (IN)": (46.3, 49.6, 88.9, 47.4),
    "TD + BU (IN) + SSL": (46.3, 50.6, 89.3, 47.7),
    "TD + BU (IN) + TTO": (46.5, 50.1, 89.2, 47.6),
    "Full model": (46.5, 50.7, 89.6, 48.1),
}
"""COLUMNS of `fusion.measures` on MuPoTS-3D, by its released protocol."""

TABLE_4 = {
    "rep": (46.3, 43.4, 77.2, 40.7),
    "mp": (46.3, 32.2, 72.8, 29.5),
    "rep_dis": (46.3, 49.9, 89.1, 46.8),
    "rep_mp_dis": (46.3, 50.6, 89.3, 47.7),
}
TABLE_5 = {
    "no discriminator": (46.3, 43.4, 77.2, 40.7),
    "D1": (46.1, 48.9, 87.3, 46.1),
    "D2": (46.3, 49.9, 89.1, 46.8),
    "D3": (46.3, 49.7, 89.0, 46.7),
}

_IN = "TD + BU (IN)"
COMPARED = (
    ("TD (w MP)", "TD (w/o MP)"),
    ("BU (w CH)", "BU (w/o CH)"),
    ("BU (w CH)", "TD (w MP)"),
    ("TD (w MP)", "BU (w CH)"),
    ("TD + BU (hard)", "TD (w MP)"),
    ("TD + BU (hard)", "TD + BU (w/o MP, CH)"),
    ("TD + BU (linear)", "TD + BU (hard)"),
    *((_IN, f"TD + BU ({other})") for other in ("w/o MP, CH", "hard", "linear", "w/o PM")),
    (f"{_IN} + SSL", _IN),
    (f"{_IN} + TTO", _IN),
    ("Full model", f"{_IN} + SSL"),
    ("Full model", f"{_IN} + TTO"),
)
"""Rows of Table 3 that the paper compares."""

ELSEWHERE = {
    6: ("dualpose eval refinement", "nothing of others: captured movements under DUALPOSE_DATA"),
    7: ("dualpose eval trajectory", "nothing of others: captured movements under DUALPOSE_DATA"),
    8: ("dualpose bench pipeline", "nothing"),
    9: ("dualpose eval mupots --root DIR", "MuPoTS-3D: DIR/TS1/annot.mat to TS20, with occlusion.mat and img_*.jpg"),
    10: ("dualpose eval jta --root DIR", "JTA: DIR/annotations/test/seq_N.json and DIR/videos/test/seq_N.mp4"),
    11: ("dualpose eval h36m --root DIR", "Human3.6M: DIR/S9 and DIR/S11, MyPoseFeatures/*/*.cdf and Videos/*.mp4"),
    12: ("dualpose eval 3dpw --root DIR", "3DPW: DIR/sequenceFiles/test/*.pkl and DIR/imageFiles/"),
}
"""Tables that another command measures: which, and what it needs."""


def inequalities() -> list[tuple[str, str, str, float]]:
    """(better row, worse row, column, by how much in the paper) of COMPARED, where the paper's figures differ so."""
    return [
        (better, worse, column, round(TABLE_3[better][n] - TABLE_3[worse][n], 1))
        for better, worse in COMPARED
        for n, column in enumerate(COLUMNS)
        if TABLE_3[better][n] > TABLE_3[worse][n]
    ]
