"""Routes and templates. They show what views and plans say and decide nothing."""
