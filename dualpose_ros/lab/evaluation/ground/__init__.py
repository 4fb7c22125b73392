"""Place on a known ground measured: `dualpose eval ground`."""
