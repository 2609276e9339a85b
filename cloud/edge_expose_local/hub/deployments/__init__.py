"""Which configurations win on which twin, and the operations on configurations. No I/O."""
