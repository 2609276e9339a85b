"""What every request and every connection must be, before anybody asks who sent it."""
