"""Guard rails: what the owner of the device allows, whoever writes the twin. Pure but for `lookout`.

They stand in the environment and in a ConfigMap; the stricter of both holds, field by field. `table` has a row a rail.
"""
