"""Methods of the paper that are tried out and do not ship."""
