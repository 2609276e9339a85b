"""What is refused in objects of each kind (Services have a folder of their own). Pure."""
