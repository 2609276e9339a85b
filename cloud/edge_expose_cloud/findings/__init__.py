"""What checks and use cases say when something is wrong: findings, the table of rules, refusals. Pure, no I/O."""
