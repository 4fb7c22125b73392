"""`dualpose eval DATASET --protocol P`: the field's data sets under the field's exact protocols, each by its name."""
