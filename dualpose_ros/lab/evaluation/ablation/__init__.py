"""`dualpose eval ablation`: the paper's tables on one fixed synthetic benchmark, row by row."""
