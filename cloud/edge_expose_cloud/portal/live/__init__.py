"""The one poller, the stream of events, and the hub as pages see it: from memory first."""
