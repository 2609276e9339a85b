"""Who may: accounts, sessions, passwords, browsers that are known, API tokens."""
