"""Operations on identities and twins. They change the state in memory and do no I/O."""
