"""What the hub keeps, one file a kind: identities, twins, configurations, edgeHub's copy. Pure values and rules."""
