"""What carries bytes to one peer: plain streams, TLS with client certificates, WebSocket; and the port mapper."""
