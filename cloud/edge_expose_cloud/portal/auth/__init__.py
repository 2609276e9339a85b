"""Who may: accounts, sessions, guards of every request, the audit file."""
