"""`dualpose weights`: what networks there are, whether they are whole, and putting new ones in place."""

from __future__ import annotations
