"""The paper's section 3.4: a lifting and an integration network trained half without labels (Table 4)."""
